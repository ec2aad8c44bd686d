"""Which texts do both models read, and how do they answer?

1. "generic": 40 openings of our own (news, stories, letters, manuals, code, ...), the first 24 tokens of each.
2. "answers": 16 everyday prompts of our own, put as the study puts prompts (by default in the chat template of either
   tokenizer where there is one), each with the base's own greedy answer; positions of the answer only. With those of
   the template a test passes thousands of tokens on noise.
3. "prompts": the first 12 of the user's prompts, likewise; and those of them with a marked instruction once more
   without it ("uninstructed"), of which the answers alone are kept.

What leaves no room for an answer in the model's context is left out. An answer ends before a token that only one of the
models has. A text on which the logits of one of them are not finite is left out.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from aftertune.errors import CheckpointError
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.outputs.result import ANSWERS, MOST_PROMPTS, TEXTS, UNINSTRUCTED, OutputParts
from aftertune.models.generation import GREEDY, Seeds, respond, stop_tokens
from aftertune.models.loaded import Checkpoint
from aftertune.prompts.encoding import encode
from aftertune.prompts.instruction import instruction_text, without_instruction
from aftertune.prompts.prompt import Message, Prompt
from aftertune.prompts.templates import choose_template, render
from aftertune.prompts.tokenization import tokenize
from aftertune.statistics.effects import LEAST_PAIRS

GENERIC_TOKENS = 24
AT_ONCE = 96  # answers
FOLDER = Path(__file__).parent
Ids = tuple[int, ...]
Prompts = dict[str, tuple[str, Ids]]  # by their ids: what is shown, and the tokens


@dataclass(frozen=True)
class Text:
    """A ``prompt`` and what follows it, as token ids; ``ended`` says that the model ended its answer itself.

    What counts are the predictions of the answer's tokens, and that of its end where it ended.
    """

    id: str
    shown: str
    prompt: Ids
    answer: Ids
    ended: bool

    @property
    def ids(self) -> Ids:
        """All tokens that are read."""
        return self.prompt + (self.answer if self.ended else self.answer[:-1])

    @property
    def first(self) -> int:
        """The first position whose prediction counts."""
        return len(self.prompt) - 1


def own_lines(name: str) -> list[str]:
    """The texts of one of our files."""
    lines = (FOLDER / f"{name}.txt").read_text("utf-8").splitlines()
    return [line.replace("\\n", "\n") for line in lines if line]


def digest() -> str:
    """Of both files: what is measured depends on them."""
    return hashlib.sha256("\n".join(own_lines("generic") + own_lines("chat")).encode()).hexdigest()


def generic_texts(tokenizer: Any) -> list[Text]:
    """Our generic texts: all tokens after the first are what is predicted, and one more."""
    found = []
    for number, line in enumerate(own_lines("generic")):
        ids = tuple(tokenize(line, tokenizer, chat=False, add_special_tokens=True).ids.tolist()[:GENERIC_TOKENS])
        found.append(Text(f"generic-{number}", line, ids[:1], ids[1:], ended=True))
    return found


def asked(context: str, tokenizers: Sequence[Any], inputs: Inputs) -> Prompts:
    """The prompts of a context by their ids: what is shown, and their tokens.

    ``tokenizers`` are those of base and tuned; the prompts, ours and the user's, are put as the study says.
    """
    put = _of_ours(inputs.template) if context == ANSWERS else inputs.template
    template, tokenizer = choose_template(put, tokenizers)
    ours = (own_prompt(line, number) for number, line in enumerate(own_lines("chat")))
    given = uninstructed(inputs) if context == UNINSTRUCTED else inputs.prompts[:MOST_PROMPTS]
    prompts = list(ours) if context == ANSWERS else given
    read = [encode(prompt, tokenizer, template) for prompt in prompts]
    return {one.prompt.id: (one.prompt.text, tuple(one.ids.tolist())) for one in read}


def uninstructed(inputs: Inputs) -> list[Prompt]:
    """Those of the asked prompts whose instruction is marked, without it; none where they are too few to be tested."""
    asked = [] if inputs.template == "rendered" else inputs.prompts[:MOST_PROMPTS]  # cut texts would be no turns
    found = [one for one in map(without_instruction, asked) if one is not None]
    return found if len(found) >= LEAST_PAIRS else []


def instructions(inputs: Inputs) -> dict[str, str]:
    """The instructions of the prompts that are asked, by the prompts' ids."""
    return {prompt.id: instruction_text(prompt) for prompt in inputs.prompts[:MOST_PROMPTS]}


def _of_ours(template: str) -> str:
    """How our own prompts are put, which nobody has put in a chat template yet."""
    return "auto" if template == "rendered" else template


def own_prompt(line: str, number: int = 0) -> Prompt:
    """A prompt of ours."""
    return Prompt(f"chat-{number}", (Message("user", line),))


def beginnings(tokenizers: Sequence[Any], asked_template: str) -> dict[str, Ids]:
    """What free samples begin with: nothing, and the chat template up to what the user says, where it is used."""
    start = next((getattr(tokenizers[0], name) for name in ("bos_token_id", "eos_token_id")), None)
    found = {} if start is None else {"nothing": (int(start),)}
    template, chat = choose_template(_of_ours(asked_template), tokenizers)
    if template == "chat":
        made = render(own_prompt("Hello"), chat, "chat")
        found["the user's turn"] = tuple(tokenize(made.text[: made.placed[0].start], chat, chat=True).ids.tolist())
    return {name: ids for name, ids in found.items() if ids}


def answered(
    checkpoint: Checkpoint, asked: Mapping[str, Prompts], most_tokens: int, n_known: int, seeds: Seeds = (GREEDY,)
) -> list[dict[str, list[Text]]]:
    """For each seed an answer to each prompt of each context, in their order; none of a model without an end.

    They are greedy, or sampled by the seed. An answer is cut before the first token that is not among the ``n_known``
    that both models have, and a prompt that holds one is left out.

    All are written together: a step costs hardly more for two answers than for one.
    """
    found: list[dict[str, list[Text]]] = [{context: [] for context in asked} for _ in seeds]
    if not can_answer(checkpoint):
        return found
    room = (checkpoint.context_length or 10**9) - 1
    fitting = {
        (context, id): (shown, ids)
        for context, prompts in asked.items()
        for id, (shown, ids) in prompts.items()
        if len(ids) < room and max(ids) < n_known
    }
    order = sorted(fitting, key=lambda key: len(fitting[key][1]))  # of like length, so that little is padded
    answers: dict[tuple[str, str], tuple[Ids, ...]] = {}
    size = max(AT_ONCE // len(seeds), 1)
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        written = respond(checkpoint, [fitting[key][1] for key in batch], most_tokens, seeds)
        answers |= zip(batch, zip(*written, strict=True), strict=True)
    for (context, id), (shown, ids) in fitting.items():
        most = min(most_tokens, room + 1 - len(ids))
        for of_seed, answer in zip(found, answers[context, id], strict=True):
            known = known_part(answer, n_known)
            of_seed[context].append(Text(id, shown, ids, known, len(known) == len(answer) < most))
    return found


def known_part(ids: Ids, n_known: int) -> Ids:
    """Tokens up to the first that is not among the first ``n_known``."""
    return ids[: next((place for place, token in enumerate(ids) if token >= n_known), len(ids))]


def text_frame(texts: Sequence[Text], tokenizer: Any) -> pl.DataFrame:
    """Texts as a part of a run folder."""
    rows = [(one.id, one.shown, one.prompt, one.answer, one.ended, tokenizer.decode(one.answer)) for one in texts]
    return pl.DataFrame(rows, schema=TEXTS, orient="row")


def texts_of(parts: OutputParts, name: str) -> list[Text]:
    """The texts of a part in a run folder."""
    rows = parts.frame(f"{name}-texts").iter_rows()
    return [Text(id, shown, tuple(prompt), tuple(answer), ended) for id, shown, prompt, answer, ended, _ in rows]


def can_answer(checkpoint: Checkpoint) -> bool:
    """Whether an answer would ever end."""
    try:
        return bool(stop_tokens(checkpoint))
    except CheckpointError:
        return False
