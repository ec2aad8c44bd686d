"""What to report on: a small synthetic change of attribution with odd texts, and the paper's released maps."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aftertune.explainers.attribution.change import AttributionChange, InstanceRow
from aftertune.explainers.attribution.density_comparison import Paired, Table1Row, Table2Row
from aftertune.explainers.attribution.faithfulness import ModelCheck, RemovalCheck
from aftertune.explainers.attribution.page import section
from aftertune.explainers.attribution.result import SalientMap
from aftertune.explainers.attribution.sentence_position import Figure6Row
from aftertune.report.page import Report
from aftertune.report.section import Section
from aftertune.statistics.finding import Finding, Link, Verdict
from aftertune.statistics.spread import Spread

ODD_TEXTS = [
    "Say </script><script>alert('no')</script> & <b>bold</b>.",
    "Line one\nline\ttwo\r\nand \x00 a control.",
    "翻译成中文：你好，世界。",
    "اكتب قصة قصيرة \u202eعن القمر",
    "Emoji 👩‍🚀 and a flag 🇫🇷, \u2028 separated.",
    "{{ report.title }} {% raw %} <!-- not a comment -->",
]


def make_map(
    id: str, model: str, text: str, n_response: int, seed: int = 0, dataset: str = "odd", helpfulness: int | None = None
) -> SalientMap:
    """Random levels over the text cut into pieces of up to four characters; the first half is the instruction."""
    generator = np.random.default_rng(seed)
    offsets = np.array([(start, min(start + 4, len(text))) for start in range(0, len(text), 4)], dtype=np.int64)
    levels = generator.integers(0, 11, (len(offsets), n_response)).astype(np.uint8)
    return SalientMap(
        id=id,
        dataset=dataset,
        model=model,
        text=text,
        prompt_tokens=tuple(text[start:end] for start, end in offsets),
        response_tokens=tuple((text + " answer")[n % (len(text) + 7)] for n in range(n_response)),
        offsets=offsets,
        is_user=np.arange(len(offsets)) > 0,
        is_instruction=np.arange(len(offsets)) < len(offsets) / 2,
        levels=levels,
        helpfulness=helpfulness,
    )


def instance_row(base: SalientMap, tuned: SalientMap, **more: Any) -> InstanceRow:
    """A row of the list of prompts."""
    values: dict[str, Any] = {
        "id": base.id,
        "dataset": base.dataset,
        "score_base": base.score(),
        "score_tuned": tuned.score(),
        "difference": tuned.score() - base.score(),
        "copied_share_base": 0.1,
        "copied_share_tuned": 0.0,
        "repetitive_base": False,
        "repetitive_tuned": False,
    }
    unknown = dict.fromkeys(InstanceRow.__dataclass_fields__)
    return InstanceRow(**(unknown | values | more))


def table2_row(dataset: str = "odd", **changes: Any) -> Table2Row:
    values: dict[str, Any] = {
        "dataset": dataset,
        "base": Spread(6, 0.93941, 0.484),
        "tuned": Spread(6, 1.13024, 0.536),
        "difference": 0.19083,
        "difference_interval": (0.1012, 0.2804),
        "p_value": 1.93e-5,
        "p_value_holm": 3.86e-5,
        "effect_size_g": 0.3721,
        "paired": Paired(6, 6, 0, 0.19083, (0.1101, 0.2702), 0.1, 0.0382, 0.0764),
    }
    return Table2Row(**(values | changes))


def table1_row(dataset: str = "odd") -> Table1Row:
    return Table1Row(
        dataset=dataset,
        model="tuned-model",
        followed=Spread(200, 1.2283, 0.52),
        unfollowed=Spread(40, 0.8917, 0.48),
        difference=0.3366,
        difference_interval=(0.17, 0.5),
        p_value=1.4e-4,
        p_value_two_sided=2.8e-4,
        p_value_holm=None,
        p_value_permutation=1e-4,
        effect_size_g=0.657,
        auroc=0.684,
        auroc_interval=(0.59, 0.77),
    )


def check(**changes: Any) -> RemovalCheck:
    per_model = {name: ModelCheck(2, 0.8, None, 0.7) for name in ("base-model", "tuned-model")}
    values: dict[str, Any] = {"n_instances": 4, "spearman_mean": 0.812, "spearman_std": 0.05, "top1_agreement": 0.73}
    return RemovalCheck(**(values | {"removal": "zeroed", "per_model": per_model} | changes))


def sample_change(**changes: Any) -> AttributionChange:
    """Six prompts with odd texts under two models."""
    maps, rows = [], []
    for number, text in enumerate(ODD_TEXTS):
        base = make_map(f"odd/{number}", "base-model", text, 7 + number, seed=number)
        tuned = make_map(f"odd/{number}", "tuned-model", text, 0 if number == 5 else 12, seed=100 + number)
        maps += [base, tuned]
        rows.append(instance_row(base, tuned, repetitive_tuned=number == 1))
    quarters = {"base-model": (0.31, 0.2, 0.19, 0.3), "tuned-model": (0.27, 0.24, 0.23, 0.26)}
    values: dict[str, Any] = {
        "base": "base-model",
        "tuned": "tuned-model",
        "table1": (table1_row(),),
        "table2": (table2_row(),),
        "table2_answered": (),
        "figure6": tuple(Figure6Row("odd", model, shares, 6) for model, shares in quarters.items()),
        "instances": tuple(rows),
        "agreement": check(),
        "maps": tuple(maps),
        "settings": {"route": "auto", "removal": "zeroed", "max_new_tokens": 300},
    }
    return AttributionChange(**(values | changes))


def sample_report(change: AttributionChange | None = None, sections: Sequence[Section] = (), **changes: Any) -> Report:
    """A report on a change of attribution, by default `sample_change`, and on further sections."""
    own = change or sample_change()
    values: dict[str, Any] = {
        "title": "A base & its <tuned> child",
        "models": (own.base, own.tuned),
        "summary": (),
        "findings": [
            Finding("a.denser", "Denser", "It is denser.", Verdict.SHOWN, {"p_value": 1.93e-5}),
            Finding("a.sharper", "No sharper", "It is not.", Verdict.NOT_SHOWN),
            Finding("a.untested", "Untested", "Nobody knows.", Verdict.NOT_TESTED, {"n": None}),
            Finding("a.look", "Look", "Here.", Verdict.NOT_TESTED, {}, (Link("odd/3", "prompt-3"),)),
        ],
        "sections": [section(own), *sections],
        "settings": {"max_new_tokens": 300, "versions": {"torch": "2.8"}, "base": {"fingerprint": "ab" * 32}},
        "notes": ["No instruction spans were marked: all that the user wrote counts as instruction."],
    }
    return Report(**(values | changes))


def released_change(folder: Path) -> AttributionChange:
    """The released maps of 332 prompts under LLaMA (base) and Vicuna (tuned), with means but without tests."""
    maps = _released_maps(folder)
    pairs = [(maps[(id, "llama_7b")], salient) for (id, model), salient in maps.items() if model == "vicuna_7b"]
    rows = [instance_row(base, tuned, repetitive_base=base.score() > 2) for base, tuned in pairs]
    names = list(dict.fromkeys(row.dataset for row in rows))
    shares = {"llama_7b": (0.32, 0.2, 0.18, 0.3), "vicuna_7b": (0.28, 0.22, 0.22, 0.28)}
    return sample_change(
        base="llama_7b",
        tuned="vicuna_7b",
        table1=tuple(table1_row(name) for name in names),
        table2=tuple(_released_row(name, [row for row in rows if row.dataset == name]) for name in names),
        figure6=tuple(Figure6Row(name, model, of, 166) for name in names for model, of in shares.items()),
        instances=tuple(rows),
        maps=tuple(salient for pair in pairs for salient in pair),
    )


def _released_row(name: str, rows: list[InstanceRow]) -> Table2Row:
    base, tuned = (np.array([getattr(row, f"score_{role}") for row in rows]) for role in ("base", "tuned"))
    return table2_row(name, base=Spread.of(base), tuned=Spread.of(tuned))


def _released_maps(folder: Path) -> dict[tuple[str, str], SalientMap]:
    import polars as pl

    lines = (folder / "annotated_prompts.jsonl").read_text("utf-8").splitlines()
    prompts = {record["id"]: record for record in map(json.loads, lines)}
    rows = pl.read_parquet(folder / "released_maps.parquet").iter_rows(named=True)
    return {(row["id"], row["model"]): _released_map(row, prompts[row["id"]]) for row in rows}


def _released_map(row: dict[str, Any], prompt: dict[str, Any]) -> SalientMap:
    text = prompt["prompt"]
    offsets = _offsets(text, row["prompt_tokens"])
    inside = np.zeros(len(text) + 1, dtype=bool)
    for span in prompt["instruction_spans"]:
        start = text.find(span)
        inside[start : start + len(span)] = start >= 0
    marked = np.array([inside[start:end].mean() >= 0.5 if end > start else False for start, end in offsets])
    levels = np.frombuffer(row["levels"], np.uint8).reshape(row["n_prompt"], row["n_response"])
    tokens = (tuple(row["prompt_tokens"]), tuple(row["response_tokens"]))
    user = np.ones(row["n_prompt"], dtype=bool)
    rating = prompt.get("vicuna_helpfulness") if row["model"] == "vicuna_7b" else None
    return SalientMap(
        row["id"], row["dataset"], row["model"], text, *tokens, offsets, user, marked.astype(bool), levels, rating
    )


def _offsets(text: str, pieces: list[str]) -> np.ndarray:
    found, cursor = [], 0
    for piece in pieces:
        plain = piece.replace("▁", " ").replace("<0x0A>", "\n").lstrip(" ") or " "
        start = text.find(plain, cursor, cursor + len(plain) + 24)
        start, end = (start, start + len(plain)) if start >= 0 else (cursor, cursor)
        found.append((start, end))
        cursor = end
    return np.array(found, dtype=np.int64)
