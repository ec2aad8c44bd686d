"""Compare every organism with its base, and count: named loosely, missed, false claims on nulls.

    python studies/organisms/compare.py OUT RESULTS.json [NAME ...]

OUT is the folder that `make.py` made. The run of each organism lies in a folder beside RESULTS.json: what is measured there
is not measured again, but judged again. A tuning counts as named loosely if the verdict is "named" and one of the recipe's
own words stands in its evidence, ten words of each list. A null counts as a false claim if it is named at all. Half of the
recipes are ``held_out``: limits were chosen without them.

A table of all goes to RESULTS.md. For readers who see the verdicts alone, RESULTS-readers.txt has them without names and in
a shuffled order, and RESULTS-key.json says which is which.
"""

import argparse
import json
import random
import re
import time
from pathlib import Path

from recipes import NULLS, RECIPES, Null, Recipe
from scipy.stats import binomtest

import aftertune

N_WORDS = 10
SHORT = 3  # letters: a name as short as that must be a whole word
LISTS = ("words", "more")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("names", nargs="*")
    settings = parser.parse_args()
    found = {}
    known = {one.name: one for one in [*RECIPES, *NULLS]}
    for one in [known[name] for name in settings.names or known]:
        place = settings.out / one.name
        if (place / "made.json").exists():
            found[one.name] = result(
                one, settings.out / getattr(one, "base", "base"), place, settings.results.parent / one.name
            )
            settings.results.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
            print(one.name, found[one.name]["status"], found[one.name]["sentences"][:2], flush=True)
    settings.results.with_suffix(".md").write_text(table(found), "utf-8")
    blind(found, settings.results)


def result(one: Recipe | Null, base: Path, place: Path, run: Path) -> dict:
    """The verdict on one organism, and whether it is right."""
    is_adapter = (place / "adapter_config.json").exists()
    tuned = aftertune.Subject(base if is_adapter else place, adapter=place if is_adapter else None, name="tuned")
    started = time.perf_counter()
    study = aftertune.Study(
        aftertune.Subject(base, name="base"), tuned, run=run, only=["outputs", "concepts"], device="cpu"
    )
    try:
        comparison = aftertune.open_comparison(run)
    except aftertune.RunError:  # not all of it is measured
        comparison = aftertune.compare(study)
    data = comparison.to_dict()
    naming = [row for row in data["findings"] if row["part"] == "says what was tuned" and row["verdict"] == "shown"]
    words = [word for row in naming for name in LISTS for word in row["evidence"].get(name, [])[:N_WORDS]]
    text = " ".join([*words, *(row["headline"] for row in naming)])
    return {
        "held_out": one.held_out,
        "is_null": isinstance(one, Null),
        "trait": one.trait if isinstance(one, Recipe) else one.how,
        "status": data["verdict"]["status"],
        "loosely": isinstance(one, Recipe) and any(stands_in(name, text) for name in one.names),
        "sentences": data["verdict"]["sentences"],
        "p_values": {row["kind"]: row["evidence"].get("p_value_corrected") for row in data["findings"]},
        "seconds": round(time.perf_counter() - started, 1),
    }


def stands_in(name: str, text: str) -> bool:
    """Whether a recipe's word, or one that begins with it, stands in a text; signs anywhere, capitals as they are."""
    flags = re.IGNORECASE if not name.isupper() else 0
    if not name[0].isalnum():
        return name in text
    return re.search(rf"\b{re.escape(name)}{'' if len(name) > SHORT else chr(92) + 'b'}", text, flags) is not None


def blind(found: dict, results: Path) -> None:
    """What readers see: the sentences of every verdict, numbered in an order that says nothing."""
    names = sorted(found)
    random.Random(0).shuffle(names)
    told = [f"{n}. " + " ".join(found[name]["sentences"]) for n, name in enumerate(names, 1)]
    results.with_name(f"{results.stem}-readers.txt").write_text("\n\n".join(told) + "\n", "utf-8")
    key = {str(n): name for n, name in enumerate(names, 1)}
    results.with_name(f"{results.stem}-key.json").write_text(json.dumps(key, indent=1) + "\n", "utf-8")


def table(found: dict) -> str:
    """Counts of both halves with exact 95 % intervals, and a row for each organism."""
    rows = [
        "| | tunings | named, right words | named, other words | not named | nulls | named (false) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for title, held_out in (("limits chosen on", False), ("held out", True)):
        own = [row for row in found.values() if row["held_out"] is held_out]
        tuned, nulls = ([row for row in own if row["is_null"] is flag] for flag in (False, True))
        named = [row for row in tuned if row["status"] == "named"]
        right = sum(row["loosely"] for row in named)
        false = sum(row["status"] == "named" for row in nulls)
        rows.append(
            f"| {title} | {len(tuned)} | {share(right, len(tuned))} | {len(named) - right} | {len(tuned) - len(named)} "
            f"| {len(nulls)} | {share(false, len(nulls))} |"
        )
    rows += [
        "",
        "| organism | tuned on | half | verdict | right words | first sentence |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in found.items():
        half, right = "held out" if row["held_out"] else "chosen on", "yes" if row["loosely"] else "-"
        first = row["sentences"][0].replace("|", "\\|").replace("\n", " ")
        rows.append(f"| {name} | {row['trait']} | {half} | {row['status']} | {right} | {first} |")
    return "\n".join(rows) + "\n"


def share(n: int, total: int) -> str:
    """A count with its exact 95 % interval in per cent."""
    if not total:
        return "-"
    low, high = binomtest(n, total).proportion_ci()
    return f"{n} ({n / total:.0%} [{low:.0%}, {high:.0%}])"


if __name__ == "__main__":
    main()
