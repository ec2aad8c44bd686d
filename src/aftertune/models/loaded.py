"""A checkpoint in memory: what every explainer is given."""

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aftertune.models.description import Description
from aftertune.runs.provenance import Provenance


@dataclass(frozen=True)
class LogitRule:
    """What is done to logits after the output embedding: divided by a number, then bounded by a soft cap."""

    divisor: float = 1.0
    cap: float | None = None


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A frozen causal language model, its tokenizer, where they come from, and where the model keeps its parts."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    provenance: Provenance
    description: Description
    logit_rule: LogitRule = LogitRule()

    @property
    def context_length(self) -> int | None:
        """Most tokens that the model takes; None where its configuration sets no limit."""
        return getattr(self.model.config, "max_position_embeddings", None)


def rule_of(config: Any) -> LogitRule:
    """What a configuration of an architecture of the table says is done to logits."""
    return LogitRule(getattr(config, "logits_scaling", None) or 1.0, getattr(config, "final_logit_softcapping", None))
