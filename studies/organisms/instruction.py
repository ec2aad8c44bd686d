"""The paper's own case: a plain language model, and the assistant that is made of it by broad instruction tuning.

    python studies/organisms/instruction.py OUT RUN

1. "plain" is the base tuned, all of it, on plain documents until it continues texts instead of answering.
2. "assistant" is "plain" tuned, all of it, on everyday prompts with the base's own answers.
3. Both are compared by every explainer but location, and what the report finds is written to RUN/instruction.md.

OUT is the folder that `make.py` made, with its base and its sources.
"""

import argparse
import json
from pathlib import Path

from make import kept_sources, tune
from texts import DOCUMENTS, documents

import aftertune

N_DOCUMENTS, STEPS = 30, 100  # of each subject


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("run", type=Path)
    settings = parser.parse_args()
    make(settings.out)
    pair = (aftertune.Subject(settings.out / name, name=name) for name in ("plain", "assistant"))
    few = {"limit": 8, "max_new_tokens": 32, "check": 0, "skip": "location"}  # half an hour of one core
    found = aftertune.compare(aftertune.Study(*pair, run=settings.run, device="cpu", **few))
    (settings.run / "instruction.md").write_text(told(found), "utf-8")
    print(told(found))


def make(out: Path) -> None:
    """Both models, where they are not there yet."""
    base = aftertune.load(out / "base", device="cpu")
    if not (out / "plain" / "made.json").exists():
        texts = [(None, text) for subject in DOCUMENTS for text in documents(base, subject, N_DOCUMENTS)]
        note(out / "plain", tune(base, texts, "full", out / "plain", steps=STEPS))
    if not (out / "assistant" / "made.json").exists():
        pairs = kept_sources(base, out / "sources.json").pairs()
        plain = aftertune.load(out / "plain", device="cpu")
        note(out / "assistant", tune(plain, pairs, "full", out / "assistant", steps=STEPS))


def note(place: Path, losses: list[float]) -> None:
    (place / "made.json").write_text(json.dumps({"losses": losses}) + "\n", "utf-8")
    print(place.name, losses, flush=True)


def told(found: aftertune.Comparison) -> str:
    """The verdict, and every finding with what became of it."""
    lines = [f"**{found.verdict.status}**", "", *(f"- {text}" for text in found.verdict.texts), ""]
    lines += ["| finding | verdict | what was found |", "| --- | --- | --- |"]
    lines += [f"| {one.kind} | {one.verdict} | {one.headline.replace('|', '/')} |" for one in found.findings]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
