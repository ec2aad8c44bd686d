"""What do two models write when every token is sampled from their own probabilities (temperature 1)?"""

from dataclasses import dataclass
from functools import partial

import polars as pl

from aftertune.explainers.outputs import result
from aftertune.explainers.outputs.probabilities import compare_positions
from aftertune.explainers.outputs.result import ANSWERED, OutputParts
from aftertune.explainers.outputs.settings import OutputSettings
from aftertune.explainers.outputs.texts import (
    Prompts,
    Text,
    answered,
    beginnings,
    can_answer,
    known_part,
    text_frame,
    texts_of,
)
from aftertune.models.generation import sample
from aftertune.models.loaded import Checkpoint


@dataclass(frozen=True, eq=False)
class Sampling:
    """Answers and free samples of a pair of models whose ``n_known`` first tokens are common."""

    base: Checkpoint
    tuned: Checkpoint
    parts: OutputParts
    settings: OutputSettings
    template: str
    n_known: int

    def answers(self, number: int) -> pl.DataFrame:
        """One answer of each model to each prompt, of both by the same random numbers, those of ``number``."""
        write = partial(sample, seed=self.settings.seed + number)
        prompts = {context: self._prompts(context) for context in ANSWERED}
        frames = [pl.DataFrame(schema=result.SAMPLED)]
        for side, checkpoint in (("base", self.base), ("tuned", self.tuned)):
            written = answered(checkpoint, prompts, self.settings.sampled_tokens, self.n_known, write)
            for context, texts in written.items():
                where = [pl.lit(one).alias(name) for name, one in (("context", context), ("side", side))]
                frames.append(text_frame(texts, self.base.tokenizer).select(*where, pl.all()))
        return pl.concat(frames)

    def _prompts(self, context: str) -> Prompts:
        """Those that both models answered with logits that are finite."""
        tuned = {one.id for one in texts_of(self.parts, f"{context}-tuned")}
        return {one.id: (one.shown, one.prompt) for one in texts_of(self.parts, context) if one.id in tuned}

    def samples(self) -> pl.DataFrame:
        """Free samples of the tuned model, and how likely either model finds them per token."""
        rows, settings = [], self.settings
        able = settings.n_samples if can_answer(self.tuned) else 0
        starts = beginnings([self.base.tokenizer, self.tuned.tokenizer], self.template)
        starts = {name: ids for name, ids in starts.items() if max(ids) < self.n_known}
        begun = [ids for ids in starts.values() for _ in range(able)]
        written = sample(self.tuned, begun, settings.answer_tokens, settings.seed) if begun else []
        for place, (name, ids) in enumerate(starts.items() if able else ()):
            found = written[place * able : (place + 1) * able]
            found = [known_part(answer, self.n_known) for answer in found]
            texts = [Text(str(n), "", ids, answer, ended=False) for n, answer in enumerate(found) if answer]
            before, after, _ = compare_positions(self.base, self.tuned, texts)
            start = 0
            for one in texts:
                end = start + len(one.answer)
                means = float(before[start:end].mean()), float(after[start:end].mean())
                rows.append((name, self.base.tokenizer.decode(one.answer), len(one.answer), *means))
                start = end
        return pl.DataFrame(rows, schema=result.SAMPLE, orient="row")
