"""What does each part of a study cost by the library's own formulas?  The table of docs/scale.md.

Operations of matrix products and bytes that are moved, for models of three sizes: what `aftertune compare` divides by
the rates of a machine before it begins. Nothing is measured here.
"""

from collections.abc import Callable

from transformers import LlamaConfig

from aftertune.explainers.attribution.work import cost as attribution
from aftertune.explainers.attribution.work.cost import Item
from aftertune.explainers.concepts import cost as concepts
from aftertune.explainers.concepts.settings import ConceptSettings
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.heads import cost as heads
from aftertune.explainers.heads.measure import make_lexicon
from aftertune.explainers.heads.settings import HeadSettings
from aftertune.explainers.location import cost as location
from aftertune.explainers.location.settings import LocationSettings
from aftertune.explainers.outputs import cost as outputs
from aftertune.explainers.outputs.result import OutputParts
from aftertune.explainers.outputs.settings import OutputSettings
from aftertune.models.cost import Cost
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize, size_by_config
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.study.rows import read_rows
from aftertune.words import load_words
from bench.gpu.explained import made_up_vectors

MODELS = {
    "135M": {
        **{"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9},
        **{"num_key_value_heads": 3, "vocab_size": 49_152, "tie_word_embeddings": True},
    },
    "7B": {
        **{"hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32},
        **{"vocab_size": 32_000},
    },
    "70B": {
        **{"hidden_size": 8192, "intermediate_size": 28_672, "num_hidden_layers": 80, "num_attention_heads": 64},
        **{"num_key_value_heads": 8, "vocab_size": 32_000},
    },
}
N_PROMPT, N_RESPONSE, RESPONSES = 50, 300, 16
MACHINE = Machine("cpu", 1.0, 1.0, 0)  # which says how many responses are generated at once


def main() -> None:
    print(table())


def table() -> str:
    """The table as Markdown."""
    sizes = list(map(size_of, MODELS))
    lines = ["| | " + " | ".join(MODELS) + " |", "| --- |" + " ---: |" * len(sizes)]
    lines.append(
        "| weights of a model in float32 | "
        + " | ".join(f"{4 * one.n_parameters / 1e9:.3g} GB" for one in sizes)
        + " |"
    )
    for name, cost_of in parts().items():
        lines.append(f"| {name} | " + " | ".join(written(cost_of(one)) for one in sizes) + " |")
    return "\n".join(lines)


def size_of(model: str) -> ModelSize:
    return size_by_config(LlamaConfig(**MODELS[model]))


def parts() -> dict[str, Callable[[ModelSize], Cost]]:
    """The parts of a study of two models, by what they are of."""
    lexicon = make_lexicon(None, made_up_vectors(load_words()), HeadSettings())
    prompts = list(read_rows(None, None).prompts)
    inputs = Inputs(prompts, "raw", N_RESPONSE, lengths=[N_PROMPT] * len(prompts))
    nothing = OutputParts(RunFolder("none"), Pair("base", "tuned"))
    item, silent = Item(N_PROMPT, N_RESPONSE), Item(N_PROMPT, N_RESPONSE, is_silent=True)
    return {
        f"responses of one model, {RESPONSES} at once": lambda size: attribution.responses(
            size, [silent] * RESPONSES, MACHINE
        ),
        "a map by removal": lambda size: attribution.attribution(size, item, "removal"),
        "a map by forward mode": lambda size: attribution.attribution(size, item, "forward"),
        "outputs of a pair": lambda size: _sum(outputs.remaining(OutputSettings(), inputs, nothing, size).steps),
        "location of a pair": lambda size: location_cost(inputs, size),
        "heads of a model": lambda size: heads.layer_cost(lexicon, size) * size.n_layers,
        "concepts of a model": lambda size: _concepts(size, len(lexicon.words)),
    }


def location_cost(inputs: Inputs, size: ModelSize) -> Cost:
    settings = LocationSettings()
    swaps = location.swaps_cost(settings, inputs, size, settings.answer_tokens)
    return location.sizes_cost(size) + location.answers_cost(settings, inputs, size) + swaps


def written(cost: Cost) -> str:
    """Operations and bytes, three digits each at most."""
    return f"{in_units(cost.operations, 'flop')}, {in_units(cost.moved, 'B')}"


def in_units(value: float, unit: str) -> str:
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9)):
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value / 1e9:.2g} G{unit}"


def _concepts(size: ModelSize, n_words: int) -> Cost:
    return concepts.layer_cost(size, n_words, ConceptSettings().n_components) * size.n_layers


def _sum(steps: dict) -> Cost:
    found = Cost()
    for one in steps.values():
        found = found + one.most
    return found


if __name__ == "__main__":
    main()
