"""The instruction verbs and the frequent verbs that they are held against."""

from pathlib import Path

import pytest

from aftertune.errors import WordError
from aftertune.explainers.heads.verbs import INSTRUCTION_VERBS, frequent_verbs, read_verbs


def test_instruction_verbs_are_those_of_the_released_run() -> None:
    assert len(INSTRUCTION_VERBS) == len(set(INSTRUCTION_VERBS)) == 38
    assert INSTRUCTION_VERBS[0] == "translate" and INSTRUCTION_VERBS[-1] == "detect"
    assert {"summarize", "write", "have", "say"} < set(INSTRUCTION_VERBS)


def test_frequent_verbs_are_base_forms_by_frequency() -> None:
    verbs = frequent_verbs()
    assert len(verbs) == len(set(verbs)) == 3000
    assert {"run", "walk", "think", "believe"} < set(verbs[:500])
    assert not {"running", "walked", "thinks", "the", "sadly", "beautiful"} & set(verbs)
    assert verbs.index("think") < verbs.index("ponder")
    assert frequent_verbs(10) == verbs[:10]


def test_frequent_verbs_leave_out_stop_words_and_instruction_verbs() -> None:
    assert not {"be", "have", "do", "can", "will", "up", "like"} & set(frequent_verbs())
    assert not set(INSTRUCTION_VERBS) & set(frequent_verbs())


def test_an_impossible_number_of_verbs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.explainers.heads.verbs._verbs", lambda: iter(("run", "walk")))
    for n in (0, -1, 7):
        with pytest.raises(WordError, match=f"{n} frequent verbs were asked for; there are 2"):
            frequent_verbs(n)


def test_words_are_read_from_lines_and_commas(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes("\ufeff# medicine\nDiagnose, treat ,\n\n  blood   pressure # a phrase\nc#\ntreat\n".encode())
    assert read_verbs(str(file)) == ("diagnose", "treat", "blood pressure", "c#")


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "has no word"), (b"# only\n , ,\n", "has no word"), (b"\xff\xfe", "UTF-8"), (b"a\0b", "is not text")],
)
def test_a_list_that_cannot_be_used_is_refused(content: bytes, text: str, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(content)
    with pytest.raises(WordError, match=text):
        read_verbs(str(file))


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WordError, match="no file at"):
        read_verbs(str(tmp_path / "missing.txt"))
    with pytest.raises(WordError, match="is a folder"):
        read_verbs(str(tmp_path))
