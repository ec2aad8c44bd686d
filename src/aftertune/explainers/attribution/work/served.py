"""Attribution of a served model: removal, by probabilities that its server tells of a given response (section 4.1).

1. Encode the prompts by the server's tokenizer, and bind the run to their tokens.
2. Greedy responses, one request and one part each.
3. log p of each response after the whole prompt, and after it without each unit: some texts a request, a part each, so
   that a run which is killed asks again only for what was under way.
4. Importance: by how much p(y_m) falls. Maps, parts and what is made of them are those of checkpoints.
Of a pair, the base is asked for the tuned model's responses too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.errors import AttributionError, CheckpointError, PromptError
from aftertune.explainers.attribution.importance.describe import Computed, describe, response_of
from aftertune.explainers.attribution.reading import ATTRIBUTIONS, RESPONSES, SHARED
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.attribution.units import Unit, split_units
from aftertune.explainers.attribution.work.asked import AskedAttribution, row_of, with_response
from aftertune.explainers.explainer import ServedWork
from aftertune.models.served.model import ServedModel
from aftertune.prompts.encoding import EncodedPrompt
from aftertune.prompts.prompt import Prompt
from aftertune.runs.at_once import do_at_once
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress

REMOVAL = "attribution-removal"
TEXTS_A_REQUEST = 8


@dataclass(frozen=True)
class ServedAttributionWork(AskedAttribution, ServedWork):
    """The attribution of a served model's responses; raises `AttributionError` for what a server can't be asked."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.settings.method != "removal" or self.settings.removal != "deleted":
            raise AttributionError(
                "A server tells probabilities of texts, no gradients and nothing of embeddings. Attribute its models "
                "by removal of tokens: method removal, removal deleted."
            )
        if self.settings.removal_budget < 1:
            raise AttributionError(
                f"A server is asked about every token by itself, and the removal_budget is "
                f"{self.settings.removal_budget:g}. Leave the removal_budget out, or give fewer or shorter prompts."
            )

    def chosen(self) -> Sequence[tuple[str, str]]:
        """As of checkpoints, but for what is measured with weights only."""
        left = "maps against replaced words, and what leaving the whole instruction out does: both need weights"
        return [*super().chosen(), ("not checked", left)]

    def requests(self, run: RunFolder, role: str) -> dict[str, int]:
        """One for each response that is not in the run, and those of each map that is not; units as tokens."""
        silent = [one for one in self.inputs.prompts if one.response is None]
        n_silent = sum(not run.exists(*run.part(RESPONSES, role, one.id)) for one in silent)
        n_texts = sum(self._requests(run, ATTRIBUTIONS, role, self.inputs.prompts))
        return {"responses": n_silent, "attribution": n_texts}

    def requests_of_pair(self, run: RunFolder, pair: Pair) -> dict[str, int]:
        """Those of each map of the tuned model's responses under the base that is not in the run."""
        unread = self.unread(run, pair) if self.settings.difference else []
        return {"difference": sum(self._requests(run, SHARED, "-".join(pair), unread))}

    def ask(self, model: ServedModel, role: str, run: RunFolder, progress: StepProgress) -> None:
        """Responses and maps that are not there yet; raises `CheckpointError` if the server fails for good."""
        encoded = [_encoded(model, one, self.inputs.template) for one in self.inputs.prompts]
        self.claim(run, {item.prompt.id: item.ids.tolist() for item in encoded})
        self._respond(model, role, encoded, run, progress)
        answered = [with_response(role, item, run) for item in encoded]
        self._attribute_all(model, (ATTRIBUTIONS, role), answered, run, ("attribution", progress))

    def ask_pair(
        self,
        base: ServedModel,
        tuned: ServedModel,
        pair: Pair,
        run: RunFolder,
        progress: StepProgress,
    ) -> None:
        """The base's maps of the tuned model's responses; raises `CheckpointError` if it reads them as other text."""
        encoded = [_encoded(base, one, self.inputs.template) for one in self.unread(run, pair)]
        answered = [with_response(pair.tuned, item, run) for item in encoded]
        for item in answered:
            _must_read_alike(base, tuned, item)
        self._attribute_all(base, (SHARED, "-".join(pair)), answered, run, ("difference", progress))

    def _respond(
        self,
        model: ServedModel,
        role: str,
        encoded: Sequence[EncodedPrompt],
        run: RunFolder,
        progress: StepProgress,
    ) -> None:
        silent = {item.prompt.id: item for item in encoded if item.response_ids is None}
        missing = [id for id in silent if not run.exists(*run.part(RESPONSES, role, id))]

        def respond(id: str) -> None:
            ids = model.respond(silent[id].ids.tolist(), self.inputs.max_new_tokens)
            row = {"id": id, "response": model.tokenizer.decode(ids), "response_ids": np.array(ids, dtype=np.int64)}
            run.write(run.part(RESPONSES, role, id), row)

        n_done = len(silent) - len(missing)
        do_at_once(respond, missing, model.concurrency, lambda done: progress("responses", n_done + done, len(silent)))

    def _attribute_all(
        self,
        model: ServedModel,
        place: tuple[str, str],
        answered: Sequence[EncodedPrompt],
        run: RunFolder,
        told: tuple[str, StepProgress],
    ) -> None:
        (step, progress), kind_role = told, place
        done, total = 0, sum(map(self._n_requests, answered))
        for item in answered:
            progress(step, done, total)
            part = run.part(*kind_role, item.prompt.id)
            if not run.exists(*part):
                begun = done
                found = self._attribute_one(
                    model, kind_role[1], item, run, lambda n, begun=begun: progress(step, begun + n, total)
                )
                run.write(part, row_of(item, found))
            done += self._n_requests(item)
        progress(step, total, total)

    def _attribute_one(
        self, model: ServedModel, role: str, item: EncodedPrompt, run: RunFolder, tell: Any
    ) -> Attribution:
        units = split_units(item, self.settings.unit)
        _must_leave_any(item, units)
        p = np.exp(_log_p(model, role, item, units, run, tell))
        importance, alone = (p[0] - p[1:]).astype(np.float32), np.zeros(len(units), np.bool_)
        numbers = Computed(importance, p[0].astype(np.float32), alone, "removal (deleted)", self.unit)
        return describe(numbers, item, units, model.tokenizer, model.provenance)

    @property
    def unit(self) -> str:
        """What counts as one part of the prompt."""
        return self.settings.unit

    def _n_requests(self, item: EncodedPrompt) -> int:
        return ceil((len(split_units(item, self.settings.unit)) + 1) / TEXTS_A_REQUEST)

    def _requests(self, run: RunFolder, kind: str, role: str, prompts: Sequence[Prompt]) -> Iterator[int]:
        """Of each prompt, those that are left; at most so many where units are longer than tokens."""
        lengths = dict(zip((one.id for one in self.inputs.prompts), self.inputs.lengths, strict=True))
        for prompt in prompts:
            if not run.exists(*run.part(kind, role, prompt.id)):
                numbers = range(ceil((lengths[prompt.id] + 1) / TEXTS_A_REQUEST))
                yield sum(not run.exists(*_part(run, role, prompt.id, number)) for number in numbers)


def _log_p(
    model: ServedModel, role: str, item: EncodedPrompt, units: Sequence[Unit], run: RunFolder, tell: Any
) -> npt.NDArray[np.float64]:
    """log p (1 + n_units, n_response): after the whole prompt, then without each unit; from the run where it is."""
    response = response_of(item).tolist()
    if not response:
        return np.zeros((1 + len(units), 0))
    texts = [[id for place, id in enumerate(item.ids.tolist()) if place not in unit] for unit in [(), *units]]
    numbers = range(ceil(len(texts) / TEXTS_A_REQUEST))

    def ask(number: int) -> npt.NDArray[np.float64]:
        part = _part(run, role, item.prompt.id, number)
        if run.exists(*part) and (kept := run.read(part))["response_ids"].tolist() == response:
            return np.array(kept["log_p"], dtype=np.float64)
        found = model.log_p(texts[number * TEXTS_A_REQUEST : (number + 1) * TEXTS_A_REQUEST], response)
        run.write(part, {"id": item.prompt.id, "response_ids": np.array(response, dtype=np.int64), "log_p": found})
        return found

    found = do_at_once(ask, numbers, model.concurrency, tell)
    return np.concatenate([found[number] for number in numbers])


def _part(run: RunFolder, role: str, id: str, number: int) -> tuple[str, str, str]:
    """The part of one request: ``log_p`` of some texts, those numbered from ``number * TEXTS_A_REQUEST``."""
    return run.part(REMOVAL, role, f"{id} {number:03d}")


def _encoded(model: ServedModel, prompt: Prompt, template: str) -> EncodedPrompt:
    from aftertune.explainers.attribution.attribute import encode_for  # with torch, which nothing else here needs

    return encode_for(model, prompt, template, prompt.response)


def _must_leave_any(item: EncodedPrompt, units: Sequence[Unit]) -> None:
    if any(len(unit) == len(item.ids) for unit in units):
        raise PromptError(
            f"Prompt {item.prompt.id!r} is one unit: without it a server has nothing to go on from. Give a longer "
            "prompt, or smaller units."
        )


def _must_read_alike(base: ServedModel, tuned: ServedModel, item: EncodedPrompt) -> None:
    ids = response_of(item).tolist()
    if base.tokenizer.decode(ids) != tuned.tokenizer.decode(ids):
        raise CheckpointError(
            f"The servers read the tokens of the response to {item.prompt.id!r} as different texts: their tokenizers "
            "differ, so the base can't be asked for what the tuned model wrote. Serve models of one tokenizer, or "
            "leave the difference out (--no-difference)."
        )
