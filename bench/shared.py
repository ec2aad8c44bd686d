"""What benches share: the model as every method reads it, options, where results are kept, how ratios are shown."""

import argparse
import statistics
from datetime import UTC, datetime
from pathlib import Path

import aftertune
from aftertune.demo import find_demo_base


def save_model(folder: Path) -> aftertune.Checkpoint:
    """Write the demo's model as safetensors, so that every process reads the same weights in the same way."""
    checkpoint = aftertune.load(find_demo_base(), device="cpu")
    checkpoint.model.save_pretrained(folder)
    checkpoint.tokenizer.save_pretrained(folder)
    return checkpoint


def of_responses(told: str, name: str, *, sample: int, most: int) -> argparse.ArgumentParser:
    """What a bench of responses is asked: how many prompts, how long, how often, and where its results are kept."""
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=sample)
    parser.add_argument("--max-new-tokens", type=int, default=most)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=dated(name))
    return parser


def weights_of_layers(checkpoint: aftertune.Checkpoint) -> int:
    """How many weights all layers have together: what products of tangents pass through."""
    return sum(p.numel() for name, p in checkpoint.model.named_parameters() if ".layers." in name)


def dated(name: str) -> Path:
    """Today's file of results of a bench."""
    return Path(__file__).parent / "results" / f"{datetime.now(UTC).date().isoformat()}-{name}.json"


def spread(ratios: list[float]) -> str:
    """Median and range over the rounds."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
