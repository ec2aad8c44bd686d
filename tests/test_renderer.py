"""Pictures of any text are drawn; a renderer that dies costs one picture, and the report says so in its place."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aftertune.errors import RunError
from aftertune.report import render, renderer
from aftertune.report.figure import Figure
from aftertune.report.notebook import to_html
from aftertune.report.page import write_report
from aftertune.report.renderer import NotDrawnError
from report_samples import sample_report

pytestmark = pytest.mark.usefixtures("drawn")

NO_CHART = {"mark": "nonsense", "config": {}}


def chart(text: str) -> dict[str, Any]:
    """A bar that is called ``text``."""
    x = {"field": "a", "type": "nominal", "title": text, "scale": {"domain": [text]}}
    y = {"field": "b", "type": "quantitative"}
    values = [{"a": text, "b": 1}]
    return {"data": {"values": values}, "mark": "bar", "encoding": {"x": x, "y": y}, "config": {}}


def kill_on(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the renderer die of every chart with this text in it, as on a sign that it can't take."""
    real = renderer._drawn

    def drawn(process: Any, asked: bytes) -> bytes:
        if text.encode() in asked:
            os.kill(process.pid, signal.SIGABRT)
            process.wait()
        return real(process, asked)

    monkeypatch.setattr(renderer, "_drawn", drawn)


def test_every_sign_can_be_drawn() -> None:
    odd = "".join(map(chr, [*range(0x20), 0x7F, 0x85, 0x9B, 0x2028, 0x202E, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF, 0x1F600]))
    spec = chart(f"a{odd}b")
    svg = render.to_svg(spec)
    assert "␀" in svg and "␛" in svg and "\x1b" not in svg and "⟨U+202E⟩" in svg
    assert render.to_png(spec).startswith(b"\x89PNG") and render.to_pdf(spec).startswith(b"%PDF")
    assert spec == chart(f"a{odd}b"), "what is given is left as it is"


def test_one_process_draws_everything_until_it_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    render.to_svg(chart("a"))
    first = render.RENDERER._process
    with pytest.raises(NotDrawnError):
        render.to_svg(NO_CHART)
    render.to_png(chart("b"))
    assert first is not None and render.RENDERER._process is first, "what it refuses does not end it"
    kill_on("deadly", monkeypatch)
    with pytest.raises(NotDrawnError, match=r"the renderer ended \(signal 6\)"):
        render.to_svg(chart("deadly"))
    assert render.to_svg(chart("a")).startswith("<svg") and render.RENDERER._process is not first


def test_a_picture_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "LONGEST_SECONDS", 0.01)
    render.RENDERER.close()
    with pytest.raises(NotDrawnError, match="signal 9"):
        render.to_svg(chart("a"))


def test_nothing_in_the_folder_we_are_in_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(7)")
    (tmp_path / "vl_convert.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    render.RENDERER.close()
    assert render.to_svg(chart("a")).startswith("<svg")


def test_a_file_that_was_asked_for_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_on("deadly", monkeypatch)
    with pytest.raises(RunError, match=r"The picture a.png could not be drawn: the renderer ended \(signal 6\)\."):
        render.write_picture(tmp_path / "a.png", chart("deadly"))
    assert not list(tmp_path.iterdir())


def test_a_report_lacks_one_picture_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_on("deadly", monkeypatch)
    report = sample_report()
    section = report.sections[0]
    figures = (Figure("bad", "Bad", "", chart("deadly")), Figure("good", "Good", "", chart("fine")))
    maps = (Figure("map", "Map", "", chart("deadly map")), Figure("map2", "Map", "", chart("fine map")))
    section = replace(section, figures=figures, pictures=maps, body=None)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "bad.svg").write_text("an earlier one")
    page = write_report(tmp_path, replace(report, sections=[section])).read_text("utf-8")
    assert sorted(one.name for one in (tmp_path / "figures").iterdir()) == ["good.png", "good.svg", "map2.svg"]
    assert page.count("This picture could not be drawn: the renderer ended (signal 6).") == 1
    assert page.count("The picture map.svg could not be drawn: the renderer ended (signal 6).") == 1
    assert 'data-figure="bad"' not in page and 'data-figure="good"' in page


def test_a_notebook_says_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    kill_on("deadly", monkeypatch)
    shown = to_html("a", "b", figures=[Figure("bad", "Bad", "", chart("deadly"))])
    assert "This picture could not be drawn: the renderer ended (signal 6)." in shown


def test_a_picture_that_was_interrupted_is_not_taken_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    own = renderer.Renderer()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(renderer.json, "loads", interrupt)
        with pytest.raises(KeyboardInterrupt):
            own.draw(chart("a"), "png", {})
    assert own.draw(chart("a"), "svg", {}).startswith(b"<svg")
    own.close()
