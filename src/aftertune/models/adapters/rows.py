"""How many rows did the embeddings have that an adapter was trained with?

Who adds tokens for a training makes the embeddings larger, often to a multiple of 64; who cuts padding off makes them
smaller. PEFT saves embeddings of another size whole, but loads them only into a model that has that size already.

1. The rows are read off the shapes of the adapter's weights.
2. New rows get their numbers from the adapter: all of the embeddings, or rows of single tokens. One that has neither
   was never saved, and the adapter is refused.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aftertune.errors import CheckpointError
from aftertune.models.adapters.tying import is_tied

WHOLE = ("weight", "base_layer.weight", "modules_to_save.weight", "token_adapter.base_layer.weight")
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Growth:
    """The rows that a model's embeddings must have for an adapter, and those that they had."""

    rows: int
    before: int


def growth_of(adapter: str, shapes: Shapes, model: Any, tokens: Collection[int] = ()) -> Growth | None:
    """The rows that an adapter needs, None where the model has them; ``tokens`` have a trained row of their own.

    Raises `CheckpointError` if the numbers of new rows are not in the adapter.
    """
    before = int(model.get_input_embeddings().weight.shape[0])
    found = list(_rows(shapes, names_of_embeddings(model)))
    new = {token for token in tokens if token >= before}
    rows = max([*(n_rows for _, n_rows in found), *(token + 1 for token in new)], default=before)
    if rows == before:
        return None
    is_whole = any(kind == "whole" for kind, _ in found)
    if rows > before and not is_whole and len(new) < rows - before:
        raise CheckpointError(
            f"The adapter {adapter} was trained on embeddings of {rows} tokens, the base has {before}, and the rows of "
            "the added tokens were not saved with it. Save it with save_embedding_layers=True, or give the merged "
            "model."
        )
    return Growth(rows, before)


def resize(model: Any, growth: Growth) -> None:
    """Give a model's embeddings that many rows; new ones have no meaning until the adapter fills them."""
    tied = is_tied(model)
    model.resize_token_embeddings(growth.rows, mean_resizing=False)
    if tied and not is_tied(model):
        model.tie_weights()


def names_of_embeddings(model: Any) -> list[str]:
    """The names that the input and the output embeddings have in their parents."""
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    return [name for name, module in model.named_modules() if any(module is end for end in ends)]


def _rows(shapes: Shapes, names: list[str]) -> Iterator[tuple[str, int]]:
    """The rows that each kind of weight of an adapter was made for."""
    for name in names:
        for key, shape in shapes.items():
            _, found, rest = key.partition(f".{name}.")
            if not found:
                continue
            if rest in WHOLE:
                yield "whole", shape[0]
            elif rest.startswith("lora_embedding_A"):
                yield "factors", shape[1]
            elif rest.startswith("lora_B"):
                yield "factors", shape[0]
