"""The report's page on prompts: what is in it, escaped, closed, and readable."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from aftertune.errors import RunError
from aftertune.explainers.attribution.change import AttributionChange, LabelCounts
from aftertune.explainers.attribution.instance import render_instance, write_instance
from aftertune.explainers.attribution.page import check_sentence, section
from aftertune.explainers.attribution.prompt_pairs import (
    PromptPair,
    gaps,
    pair_maps,
    prompt_texts,
    side_of,
    user_text,
)
from aftertune.explainers.attribution.result import SalientMap
from aftertune.report.environment import digest_of, to_script_json
from aftertune.report.page import Report, write_report
from aftertune.runs.readable import readable, visible
from report_samples import (
    ODD_TEXTS,
    check,
    instance_row,
    make_map,
    released_change,
    sample_change,
    sample_report,
)

pytestmark = pytest.mark.usefixtures("drawn")

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
    return write_report(tmp_path_factory.mktemp("report"), sample_report())


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


def test_only_the_scripts_of_the_page_may_run(written, tmp_path):
    instance = write_instance(tmp_path / "one.html", make_map("a", "m", ODD_TEXTS[0], 4))
    for file in (written, instance):
        html = file.read_text("utf-8")
        (allowed,) = re.findall(r"script-src ([^;]*);", html)
        scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
        assert allowed.split() == [digest_of(one) for one in scripts] and len(scripts) == 2
        assert not re.search(r"<[^>]+\son\w+=|javascript:", html)


def test_ids_are_unique(page):
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_blocks_decode_to_the_same_levels(page):
    pairs = pair_maps(sample_change())
    assert len(pairs) == len(ODD_TEXTS)
    for number, pair in enumerate(pairs):
        data = unpack(page.blocks[f"p{number}"])
        assert data["id"] == pair.row.id
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
    assert "eport.title }}" in page.text


def test_findings_say_in_words_whether_they_are_shown(page):
    for words in ("Shown", "Not shown", "Not tested", "It is denser.", "1.9e-5", "No instruction spans were marked"):
        assert words in page.text


def test_prompts_to_read_are_links_that_open_them(written):
    assert '<a href="#prompt-3">odd/3</a>' in written.read_text("utf-8")


def test_tables_in_the_page_equal_the_files(page, written):
    texts = json.loads(page.blocks["texts"])
    tables = {"table1", "table2", "table2_answered", "figure6", "instances", "read_first"}
    assert set(texts) == tables | {"table1_controls", "table2_controls"}
    for name, formats in texts.items():
        assert set(formats) == ({"csv"} if name == "table2_answered" else {"csv", "tex", "md"})
        for suffix, text in formats.items():
            assert (written.parent / "tables" / f"{name}.{suffix}").read_bytes().decode() == text
    assert "0.9394 ± 0.48" in page.text and "1.1302 ± 0.54" in page.text


def test_files_are_all_there_and_nothing_else(written):
    figures = sorted(path.name for path in (written.parent / "figures").iterdir())
    assert figures[:2] == ["figure6.png", "figure6.svg"] and figures[-2:] == ["scores.png", "scores.svg"]
    names = [re.fullmatch(r"map-odd_(\d)-[0-9a-f]{8}\.svg", name) for name in figures[2:-2]]
    assert [name[1] for name in names] == list("012345")
    assert sorted(path.name for path in written.parent.iterdir()) == ["figures", "report.html", "tables"]


def test_methods_hold_settings_check_and_citation(page):
    for words in ("max new tokens", "versions · torch", "ab" * 32, "0.81 ± 0.05", "NAACL 2024"):
        assert words in page.text


def test_the_same_results_give_the_same_page(written, tmp_path):
    again = write_report(tmp_path, sample_report())
    assert again.read_bytes() == written.read_bytes()


def test_a_report_of_nothing_says_what_is_missing(tmp_path):
    empty = AttributionChange("base-model", "tuned-model", (), (), (), (), ())
    report = sample_report(empty, findings=[], settings={}, notes=[])
    text = Page(write_report(tmp_path, report).read_text("utf-8")).text
    assert "There is no table 1: it needs people's ratings" in text
    assert "There is no figure 6" in text and "It was not run" in text and "No settings" in text
    assert not (tmp_path / "figures").exists()
    with pytest.raises(RunError, match="nothing to report"):
        Report("", ("a", "b"), (), (), ())


def test_a_map_without_partner_is_still_shown(tmp_path):
    alone = make_map("alone", "tuned-model", "some text", 3)
    row = instance_row(alone, alone, score_base=None, difference=None)
    report = sample_report(sample_change(maps=(alone,), instances=(row,)))
    data = json.loads(zlib.decompress(base64.b64decode(report.sections[0].blocks["p0"])))
    assert data["sides"][0] == {"role": "base", "missing": True}
    assert data["sides"][1]["score"] == f"{alone.score():.3f}"
    assert (tmp_path / "report.html") == write_report(tmp_path, report)


def test_a_folder_that_cannot_be_written_is_our_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        write_report(tmp_path / "file", sample_report())


def test_the_check_against_removal_in_words():
    told = check_sentence(check())
    assert told.startswith("On 4 responses,") and "0.81 ± 0.05" in told and "73%" in told
    assert check_sentence(check(n_instances=1, spearman_std=None)).startswith("On 1 response,")


def test_notes_say_what_a_reader_must_know_first():
    labels = LabelCounts(n_prompts=6, n_unmarked=4, n_responses=12, n_rated=3, n_marked=2, raters=("ann", "bob"))
    labelled, unmarked, empty = section(sample_change(labels=labels)).notes
    assert "3 of 12" in labelled and "2 of 6" in labelled and "ann, bob" in labelled and "median" in labelled
    assert "4 of 6" in unmarked and "tuned-model ended 1 of 6" in empty


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
        salient = make_map(id, "m", "text", 1, dataset=dataset)
        return PromptPair(0, instance_row(salient, salient), None, None).file_id

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
    for salient in released_change(shared_data).maps[::40]:
        side = side_of(salient)
        between = side["gaps"]
        shown = "".join(between.get(str(n), "") + text for n, text in enumerate(side["prompt"]))
        assert shown + between.get(str(salient.n_prompt), "") == visible(salient.text)
        assert (decode(side) == salient.levels).all()


def test_the_released_report_stays_light(shared_data, tmp_path):
    page = write_report(tmp_path, sample_report(released_change(shared_data)))
    assert page.stat().st_size < 8_000_000
