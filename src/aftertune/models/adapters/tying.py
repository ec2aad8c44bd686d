"""Input and output embeddings that are one tensor, how a model gets two, or one: what it computes stays the same."""

from typing import Any

import torch
from transformers import PreTrainedModel

from aftertune.models.mapped.memory import is_mapped, mark_mapped


def is_tied(model: PreTrainedModel) -> bool:
    """Whether a change of the input embeddings would change the output embeddings too."""
    ends: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    return None not in ends and ends[0].weight is ends[1].weight


def untie(model: PreTrainedModel) -> None:
    """Give the model output embeddings of its own, equal to the input embeddings; nothing to do where it has them."""
    if not is_tied(model):
        return
    head: Any = model.get_output_embeddings()
    weight = head.weight.detach()
    own = (
        weight if is_mapped(head.weight) else weight.clone()
    )  # nothing is written into a map, so it can be there twice
    head.weight = mark_mapped(torch.nn.Parameter(own, head.weight.requires_grad), is_mapped(head.weight))
    say_tied(model)


def tie_if_equal(model: PreTrainedModel) -> None:
    """Make input and output embeddings one tensor where they hold the same numbers."""
    ends: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    if None not in ends and torch.equal(ends[0].weight, ends[1].weight):
        ends[1].weight = ends[0].weight
    say_tied(model)


def say_tied(model: PreTrainedModel) -> None:
    """Let the model's configuration say whether both embeddings are one tensor, as they are."""
    tied, configs = is_tied(model), list[Any]([model.config, model.config.get_text_config()])
    for config in configs:
        config.tie_word_embeddings = tied
