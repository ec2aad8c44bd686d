import base64
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from aftertune.errors import RunError
from aftertune.explainers.attribution.maps import SalientMap
from aftertune.explainers.attribution.view import render_instance
from aftertune.report.instance import write_instance
from aftertune.report.page import file_id, write_report
from aftertune.report.prompts import PromptPair, gaps, pair_maps, prompt_texts, side_of, to_script_json, user_text
from aftertune.runs.readable import readable, visible
from report_samples import ODD_TEXTS, make_map, released_contents, sample_contents

VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects text, attributes and the blocks of data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.blocks: dict[str, str] = {}
        self.text = ""
        self._id: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script" and dict(attrs).get("type") == "application/json":
            self._id = dict(attrs)["id"]

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self._id = None

    def handle_data(self, data):
        if self._id:
            self.blocks[self._id] = self.blocks.get(self._id, "") + data
        elif self.open and self.open[-1] not in ("script", "style"):
            self.text += data


def decode(side: dict) -> np.ndarray:
    levels = [int(sign, 16) for sign in side["levels"]]
    return np.array(levels, np.uint8).reshape(len(side["prompt"]), len(side["response"]))


def unpack(block: str) -> dict:
    return json.loads(zlib.decompress(base64.b64decode(json.loads(block))))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("report"), sample_contents(), n_maps_drawn=1)


@pytest.fixture(scope="module")
def page(written):
    return Page(written.read_text("utf-8"))


def test_the_page_is_well_formed(page):
    assert page.open == []


def test_the_page_fetches_nothing(page, written):
    links = [value for _, name, value in page.attributes if name in ("src", "href", "xlink:href", "action")]
    assert links and all(value.startswith(("#", "data:,")) for value in links)
    html = written.read_text("utf-8")
    assert "@import" not in html and "url(" not in html and "fetch(" not in html
    policy = next(value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy and "connect-src" not in policy


def test_ids_are_unique(page):
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_blocks_decode_to_the_same_levels(page):
    pairs = pair_maps(sample_contents())
    assert len(pairs) == len(ODD_TEXTS)
    for number, pair in enumerate(pairs):
        data = unpack(page.blocks[f"p{number}"])
        assert data["id"] == pair.id
        for side, salient in zip(data["sides"], (pair.base, pair.tuned), strict=True):
            assert (decode(side) == salient.levels).all()
            assert side["density"] == [round(value, 2) for value in salient.density().tolist()]
            assert side["user"] == "".join("01"[int(mark)] for mark in salient.is_user)


def test_odd_texts_are_shown_and_never_run(page, written):
    html = written.read_text("utf-8")
    assert "<script>alert" not in html and "<b>bold" not in html and "\x00" not in html and "\u202e" not in html
    first = unpack(page.blocks["p0"])["sides"][0]
    assert "".join(first["prompt"]) == ODD_TEXTS[0]
    assert "A base & its <tuned> child" in page.text
    assert "ontents.title }}" in page.text


def test_findings_say_in_words_whether_they_are_shown(page):
    for words in ("Shown", "Not shown", "Not tested", "It is denser.", "1.9e-5", "No instruction spans were marked"):
        assert words in page.text


def test_prompts_to_look_at_are_links_that_open_them(tmp_path):
    finding = {"headline": "Look", "sentence": "Here.", "significant": None, "evidence": {"n": 2}}
    contents = sample_contents(
        findings=[finding | {"prompts": (("odd", "odd/2"), ("odd", "odd/0"), ("odd", "no-such"))}]
    )
    html = write_report(tmp_path, contents, 0).read_text("utf-8")
    assert '<a href="#prompt-2">odd/2</a></li><li><a href="#prompt-0">odd/0</a></li></ul>' in html
    assert "What to look at" in html and "no-such" not in html
    assert html.count(">Look</h") == 1 and "<h4>Look</h4>" in html
    assert "What to look at</h3>" not in write_report(tmp_path, sample_contents(findings=[finding]), 0).read_text(
        "utf-8"
    )


def test_tables_in_the_page_equal_the_files(page, written):
    texts = json.loads(page.blocks["texts"])
    assert set(texts) == {"table1", "table2", "figure6", "instances"}
    for name, formats in texts.items():
        assert set(formats) == {"csv", "tex", "md"}
        for suffix, text in formats.items():
            assert (written.parent / "tables" / f"{name}.{suffix}").read_bytes().decode() == text
    assert "0.9394 ± 0.48" in page.text and "1.1302 ± 0.54" in page.text


def test_files_are_all_there_and_nothing_else(written):
    figures = sorted(path.name for path in (written.parent / "figures").iterdir())
    assert figures[:2] == ["figure6.png", "figure6.svg"] and figures[3:] == ["scores.png", "scores.svg"]
    assert re.fullmatch(r"map-odd_0-[0-9a-f]{8}\.svg", figures[2])
    assert sorted(path.name for path in written.parent.iterdir()) == ["figures", "report.html", "tables"]


def test_methods_hold_settings_check_and_citation(page):
    for words in ("max new tokens", "versions · torch", "ab" * 32, "0.81 ± 0.05", "NAACL 2024"):
        assert words in page.text


def test_the_same_results_give_the_same_page(written, tmp_path):
    again = write_report(tmp_path, sample_contents(), n_maps_drawn=0)
    assert again.read_bytes() == written.read_bytes()


def test_a_report_of_nothing_says_what_is_missing(tmp_path):
    comparison = {"table1": [], "table2": [], "figure6": [], "instances": []}
    empty = sample_contents(comparison=comparison, maps=[], check=None, findings=[], settings={}, notes=[])
    text = Page(write_report(tmp_path, empty).read_text("utf-8")).text
    assert "There is no table 1: it needs people's ratings" in text
    assert "There is no figure 6" in text and "It was not run" in text and "No settings" in text
    assert not (tmp_path / "figures").exists()


def test_a_map_without_partner_or_row_is_still_shown(tmp_path):
    contents = sample_contents(maps=[make_map("alone", "tuned-model", "some text", 3)])
    data = unpack(Page(write_report(tmp_path, contents).read_text("utf-8")).blocks["p0"])
    assert data["sides"][0] == {"role": "base", "missing": True}
    assert data["sides"][1]["score"] == "–"


def test_two_maps_of_one_prompt_are_refused():
    twice = [make_map("a", "base-model", "text", 3)] * 2
    with pytest.raises(RunError, match="two maps of prompt 'a'"):
        pair_maps(sample_contents(maps=twice))


def test_a_folder_that_cannot_be_written_is_our_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        write_report(tmp_path / "file", sample_contents(), n_maps_drawn=0)


def tokens_at(text: str, offsets: list[tuple[int, int]], names: list[str], user: list[int]) -> SalientMap:
    marks = np.array(user, dtype=bool)
    levels = np.zeros((len(names), 0), np.uint8)
    return SalientMap("a", "d", "m", text, tuple(names), (), np.array(offsets), marks, marks, levels)


def test_prompt_text_is_whole_whatever_the_tokens_are():
    # A template's start token without characters, a gap, and one character whose bytes are three tokens.
    text = "Hi there 好!"
    offsets = [(0, 0), (0, 2), (3, 8), (9, 10), (9, 10), (9, 10)]
    salient = tokens_at(text, offsets, ["<s>", "Hi", "there", "<0xE5>", "<0xA5>", "<0xBD>"], [0, 1, 1, 1, 1, 1])
    assert prompt_texts(salient) == ["<s>", "Hi", "there", "好", "", ""]
    assert gaps(salient) == {"2": " ", "3": " ", "6": "!"}
    assert user_text(salient) == "Hi there 好"


def test_user_text_leaves_the_template_out():
    salient = tokens_at("USER: hello you END", [(0, 5), (6, 11), (12, 15), (16, 19)], list("abcd"), [0, 1, 1, 0])
    assert user_text(salient) == "hello you"


def test_script_json_cannot_end_its_element():
    data = {"a": "</script><!-- & \u2028"}
    assert not set("<>&\u2028") & set(to_script_json(data))
    assert json.loads(to_script_json(data)) == data


def test_file_names_are_safe_and_differ():
    def name(id: str, dataset: str = "d") -> str:
        return file_id(PromptPair(id, dataset, None, None, None))

    assert name("task_1.a-b") == "task_1.a-b"
    assert name("../a") != name("..\\a") and "/" not in name("../a")
    assert len(name("x" * 500)) < 100


def test_readable_pieces_of_three_kinds():
    assert readable(["▁Hello", "<0x0A>", "▁▁wor", "<0xE5>", "<0xA5>", "<0xBD>"]) == [
        " Hello",
        "\n",
        "  wor",
        "",
        "",
        "好",
    ]
    assert readable(["Hello", "Ġworld", "Ċ", "å¥", "½"]) == ["Hello", " world", "\n", "", "好"]
    assert readable(["plain", " text", "Ġ is a letter"]) == ["plain", " text", "Ġ is a letter"]
    assert readable(["<0xE5>"]) == ["\ufffd"]
    assert readable([]) == []


def test_visible_shows_what_would_turn_or_hide():
    assert visible("a\u202eb\x00\r\n\t\x7f\ud800") == "a⟨U+202E⟩b␀␍\n\t␡\ufffd"


def test_notebook_view_holds_levels_and_escapes():
    salient = make_map("a", "model", ODD_TEXTS[0], 4)
    tokens = (salient.prompt_tokens, salient.response_tokens)
    html = render_instance(*tokens, salient.levels, salient.density(), salient.is_instruction, "<title>")
    fragment = Page(html)
    assert fragment.open == [] and "<title>" in fragment.text and "<script>alert" not in html
    data = next(value for _, name, value in fragment.attributes if name == "data-levels")
    assert [int(digit, 16) for digit in data] == salient.levels.reshape(-1).tolist()
    shades = [value for tag, name, value in fragment.attributes if (tag, name) == ("span", "data-d")]
    assert shades == [f"{0.75 * d / salient.density().max():.2f}" for d in salient.density()]
    marks = [value for tag, name, value in fragment.attributes if (tag, name) == ("span", "data-i")]
    assert len(marks) == salient.is_instruction.sum()


def test_notebook_views_do_not_share_their_id():
    salient = make_map("a", "model", "text", 2)
    arguments = (
        salient.prompt_tokens,
        salient.response_tokens,
        salient.levels,
        salient.density(),
        salient.is_instruction,
    )
    first, second = (re.search(r'id="([\w-]+)"', render_instance(*arguments))[1] for _ in range(2))
    assert first != second
    with pytest.raises(ValueError, match="are not"):
        render_instance((), *arguments[1:])


def test_instance_page_carries_importance_and_probability(tmp_path):
    salient = make_map("</script>", "model", "some text", 3)
    importance = np.linspace(-1, 1, salient.levels.size, dtype=np.float32).reshape(salient.levels.shape)
    path = write_instance(tmp_path / "one.html", salient, importance, np.array([0.1, 0.25, 1.0], np.float32))
    page = Page(path.read_text("utf-8"))
    side = json.loads(page.blocks["p0"])["sides"][0]
    raw = zlib.decompress(base64.b64decode(side["importance"]))
    assert (np.frombuffer(raw, "<f4").reshape(importance.shape) == importance).all()
    assert side["probability"] == [0.1, 0.25, 1.0]
    assert side["score"] == f"{salient.score():.3f}"


def test_released_prompts_read_as_they_were_written(shared_data):
    contents = released_contents(shared_data)
    for salient in contents.maps[::40]:
        side = side_of(salient)
        between = side["gaps"]
        shown = "".join(between.get(str(n), "") + text for n, text in enumerate(side["prompt"]))
        assert shown + between.get(str(salient.n_prompt), "") == visible(salient.text)
        assert (decode(side) == salient.levels).all()


def test_the_released_report_stays_light(shared_data, tmp_path):
    page = write_report(tmp_path, released_contents(shared_data), n_maps_drawn=0)
    assert page.stat().st_size < 8_000_000
