"""What does the tuned model write freely, every token sampled from its own probabilities (temperature 1)?"""

import polars as pl

from aftertune.explainers.outputs import result
from aftertune.explainers.outputs.probabilities import compare_positions
from aftertune.explainers.outputs.settings import OutputSettings
from aftertune.explainers.outputs.texts import (
    Text,
    beginnings,
    can_answer,
    known_part,
)
from aftertune.models.generation import sample
from aftertune.models.loaded import Checkpoint


def free_samples(
    base: Checkpoint, tuned: Checkpoint, settings: OutputSettings, template: str, n_known: int
) -> pl.DataFrame:
    """Free samples of the tuned one of a pair, and how likely either model finds them per token.

    The first ``n_known`` tokens are those that both have; ``template`` is that of the study.
    """
    rows = []
    able = settings.n_samples if can_answer(tuned) else 0
    starts = beginnings([base.tokenizer, tuned.tokenizer], template)
    starts = {name: ids for name, ids in starts.items() if max(ids) < n_known}
    begun = [ids for ids in starts.values() for _ in range(able)]
    written = sample(tuned, begun, settings.answer_tokens, settings.seed) if begun else []
    for place, (name, ids) in enumerate(starts.items() if able else ()):
        found = written[place * able : (place + 1) * able]
        found = [known_part(answer, n_known) for answer in found]
        texts = [Text(str(n), "", ids, answer, ended=False) for n, answer in enumerate(found) if answer]
        before, after, _ = compare_positions(base, tuned, texts)
        start = 0
        for one in texts:
            end = start + len(one.answer)
            means = float(before[start:end].mean()), float(after[start:end].mean())
            rows.append((name, base.tokenizer.decode(one.answer), len(one.answer), *means))
            start = end
    return pl.DataFrame(rows, schema=result.SAMPLE, orient="row")
