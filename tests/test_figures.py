"""The charts on prompts: figure 6, scores, and figure 1, from maps with any signs in them."""

import struct
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from aftertune.errors import RunError
from aftertune.explainers.attribution.charts import map_chart, pair_chart, quarters_chart, scores_chart
from aftertune.explainers.attribution.instance import write_instance
from aftertune.report.chart_style import shorten
from aftertune.report.colours import DARK_RAMP, LIGHT_RAMP, ramp
from aftertune.report.render import to_png, to_svg, write_picture
from report_samples import instance_row, make_map, sample_change

pytestmark = pytest.mark.usefixtures("drawn")

SVG = "{http://www.w3.org/2000/svg}"


def texts_of(svg: str) -> set[str]:
    return {found.text for found in ElementTree.fromstring(svg).iter(f"{SVG}text")}


def test_figure6_holds_every_share():
    change = sample_change()
    spec = quarters_chart(change.figure6, (change.base, change.tuned))
    found = {(v["model"], v["quarter"]): v["share"] for v in spec["datasets"]["quarters"]}
    assert found[("base-model", "first")] == 0.31 and found[("tuned-model", "last")] == 0.26
    assert len(found) == 8
    assert {"odd", "base-model", "tuned-model", "first", "last"} <= texts_of(to_svg(spec))


def test_scores_hold_every_prompt_that_has_both():
    first, *rows = sample_change().instances
    rows = [replace(first, score_base=None, difference=None), *rows]
    spec = scores_chart(rows, "base-model", "tuned-model")
    assert [v["score_tuned"] for v in spec["datasets"]["scores"]] == [row.score_tuned for row in rows[1:]]
    top = max(max(row.score_base, row.score_tuned) for row in rows[1:])
    assert spec["datasets"]["equal"] == [{"at": 0}, {"at": pytest.approx(1.05 * top)}]
    assert to_svg(spec).startswith("<svg")


def test_scores_of_zero_still_have_a_scale():
    row = instance_row(*2 * [make_map("a", "m", "text", 0)])
    assert scores_chart([row], "b", "t")["datasets"]["equal"][1] == {"at": 1.0}


def test_a_map_holds_its_levels_and_leaves_zeros_blank():
    salient = make_map("a", "model", "same same same same", 9, seed=3)
    spec = map_chart(salient)
    levels = np.zeros_like(salient.levels)
    for cell in spec["datasets"]["levels"]:
        levels[int(cell["prompt"][:4]) - 1, int(cell["response"][:4]) - 1] = cell["level"]
    assert (levels == salient.levels).all()
    assert len(spec["datasets"]["levels"]) == np.count_nonzero(salient.levels)


def test_the_drawn_cells_are_where_and_as_deep_as_the_levels():
    salient = make_map("a", "model", "abcdefgh", 3, seed=1)
    colours = ramp()
    drawn = [
        e for e in ElementTree.fromstring(to_svg(map_chart(salient))).iter(f"{SVG}path") if e.get("fill") in colours
    ]
    cells = [e for e in drawn if e.get("d", "").endswith("h9v9h-9Z")]
    expected = {(9 * m, 9 * n, colours[salient.levels[n, m] - 1]) for n, m in np.argwhere(salient.levels).tolist()}
    assert {(*map(int, e.get("d")[1:].split("h")[0].split(",")), e.get("fill")) for e in cells} == expected


@pytest.mark.parametrize("text", ['if(a["b"], \\)`${c}`', "</text>&amp;<", "日本語 עברית", "\x00\x1f\n\n\n\n\t\t\t\t"])
def test_labels_can_hold_any_sign(text):
    svg = to_svg(map_chart(make_map("a", "model", text, 4)))
    ElementTree.fromstring(svg)


def test_long_maps_are_numbered_instead_of_labelled():
    svg = to_svg(map_chart(make_map("a", "model", "word" * 3, 130)))
    assert {"0010", "0130"} <= texts_of(svg)


def test_a_pair_holds_both_maps():
    base, tuned = make_map("a", "base", "a prompt", 5, 1), make_map("a", "tuned", "a prompt", 8, 2)
    datasets = pair_chart(base, tuned)["datasets"]
    assert len(datasets["base"]) == np.count_nonzero(base.levels)
    assert len(datasets["tuned"]) == np.count_nonzero(tuned.levels)


def test_png_is_three_times_the_svg_in_size():
    spec = map_chart(make_map("a", "model", "a prompt", 5))
    width = float(ElementTree.fromstring(to_svg(spec)).get("width"))
    png = to_png(spec)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", png[16:20])[0] == pytest.approx(3 * width, abs=3)


def test_the_ramps_grow_in_contrast_to_their_page():
    def light(colour: str) -> float:
        return sum(int(colour[i : i + 2], 16) * w for i, w in ((1, 0.299), (3, 0.587), (5, 0.114)))

    assert ramp()[0] == "#ece7f8" and ramp()[9] == "#35108a"
    pale, deep = [light(c) for c in ramp(LIGHT_RAMP)], [light(c) for c in ramp(DARK_RAMP)]
    assert pale == sorted(pale, reverse=True) and deep == sorted(deep)
    assert len(pale) == 10


def test_long_names_are_cut():
    assert shorten("abcdef", 6) == "abcdef" and shorten("abcdefg", 6) == "abcde…"


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf", "html"])
def test_one_instance_is_written_by_its_suffix(tmp_path, suffix):
    path = write_instance(tmp_path / f"one.{suffix}", make_map("a", "model", "a prompt", 5))
    start = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF-", "html": b"<!doctype html>"}[suffix]
    assert path.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_other_suffixes_and_shapes_are_refused(tmp_path):
    salient = make_map("a", "model", "a prompt", 5)
    with pytest.raises(RunError, match=r"Name the file \.html, \.svg, \.png or \.pdf"):
        write_instance(tmp_path / "one.tiff", salient)
    with pytest.raises(RunError, match=r"importance has shape \(1, 1\), the map needs \(2, 5\)"):
        write_instance(tmp_path / "one.html", salient, importance=np.zeros((1, 1), np.float32))
    with pytest.raises(RunError, match="probability has shape"):
        write_instance(tmp_path / "one.html", salient, probability=np.zeros(4, np.float32))
    with pytest.raises(RunError, match=r"cannot be written as \.gif"):
        write_picture(tmp_path / "one.gif", map_chart(salient))
    assert not list(tmp_path.iterdir())
