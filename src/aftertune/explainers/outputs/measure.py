"""The outputs of pairs of models as the work of a study: what is compared, what is left of it, and what that costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aftertune.errors import AttributionError
from aftertune.explainers.explainer import Inputs, Work
from aftertune.explainers.outputs import result
from aftertune.explainers.outputs.cost import remaining
from aftertune.explainers.outputs.pair_work import PairWork
from aftertune.explainers.outputs.result import (
    ANSWERED,
    MOST_PROMPTS,
    SIDES,
    UNINSTRUCTED,
    OutputParts,
    answers_name,
    draw_name,
    sampled_name,
)
from aftertune.explainers.outputs.settings import OutputSettings
from aftertune.explainers.outputs.texts import digest, own_lines, uninstructed
from aftertune.models.cost import NARROW_BYTES, Remaining
from aftertune.models.loaded import Checkpoint
from aftertune.models.machine import Machine
from aftertune.models.mapped.memory import ON_DISK
from aftertune.models.size import ModelSize
from aftertune.models.weight_noise import change_norms
from aftertune.runs.reuse import Reusable
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress


@dataclass(frozen=True)
class OutputWork(Work):
    """The outputs of pairs of models, to be compared in a run."""

    settings: OutputSettings
    inputs: Inputs
    saved_settings = result.SETTINGS
    is_shared = True
    reusable = (Reusable((f"{result.KIND}/{{base}}-{{tuned}}/*",)),)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        return self.settings.of("parts") | self.inputs.identity | {"texts": {"sha256": digest()}, "words": "rises"}

    def must_fit(self, configs: Sequence[Any], run: RunFolder) -> None:  # noqa: ARG002
        """Raise `RunError` for a run whose outputs were compared otherwise, `AttributionError` for impossible noise."""
        is_narrow = self.inputs.dtype in NARROW_BYTES
        if self.settings.noise_draws and (is_narrow or self.inputs.device == ON_DISK):
            held = f"are rounded codes in {self.inputs.dtype}" if is_narrow else "stay on disk"
            raise AttributionError(
                f"Noise in all weights at once can't be put into weights that {held}. Give --noise-draws 0, and no "
                "word is claimed, or choose explainers without outputs (--only heads,concepts)."
            )
        if run.exists(result.SETTINGS):
            run.claim(result.SETTINGS, self.identity, {})

    def chosen(self) -> Sequence[tuple[str, str]]:
        """How many prompts of ours are asked beside the study's, and how much is sampled and drawn."""
        draws, more, bare = self.settings.noise_draws, self.settings.sampled_answers, len(uninstructed(self.inputs))
        noise = f"{draws} draws of noise" if draws else "no noise, so that no word is claimed"
        given = f"{min(len(self.inputs.prompts), MOST_PROMPTS)} prompts of the study"
        given += f" ({bare} of them also without their marked instruction)" if bare else ""
        asked = f"{given} and always {len(own_lines('chat'))} of ours (--limit is for the first), answers of at most"
        sampled = f", and {more} more to each prompt sampled from each model (--sampled-answers)" if more else ""
        return [("outputs", f"{asked} {self.settings.answer_tokens} tokens (--output-tokens){sampled}; {noise}")]

    def remaining_pair(self, run: RunFolder, pair: Pair, size: ModelSize, machine: Machine) -> Remaining:  # noqa: ARG002
        """What is left of a pair of models of a size."""
        if self.is_pair_measured(run, pair):
            return Remaining()
        return remaining(self.settings, self.inputs, OutputParts(run, pair), size)

    def is_pair_measured(self, run: RunFolder, pair: Pair) -> bool:
        """Whether all parts of a pair are there."""
        parts = OutputParts(run, pair)
        if not parts.has(result.ABOUT):
            return False
        names = [draw_name(number) for number in range(self.settings.noise_draws)]
        sampled = [sampled_name(number, side) for number in range(self.settings.sampled_answers) for side in SIDES]
        has_draws = not parts.has_same_tensors or all(parts.has(name) for name in names)
        bare = [answers_name(UNINSTRUCTED, side) for side in SIDES if uninstructed(self.inputs)]
        positions = [f"{one}-positions" for one in ANSWERED]
        return has_draws and all(map(parts.has, [*positions, *sampled, *bare, result.SAMPLES]))

    def measure_pair(
        self, base: Checkpoint, tuned: Checkpoint, pair: Pair, run: RunFolder, progress: StepProgress
    ) -> None:
        """Compare the outputs of two models, the parts that are not there yet. Both are left as they were.

        Raises `RunError` if the folder holds outputs that were compared otherwise, or a part can't be written.
        """
        run.claim(result.SETTINGS, self.identity, {})
        norms = change_norms(base, tuned)
        PairWork(self.settings, self.inputs, base, tuned, OutputParts(run, pair), norms, progress).measure()

    def finish(self, run: RunFolder, role: str) -> None:  # noqa: ARG002
        """Let the run show as many draws of noise and sampled answers as were asked for this time."""
        run.remember(result.SHOWN, self.settings.of("units"))
