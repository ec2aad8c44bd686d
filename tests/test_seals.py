"""A part says where it belongs, what it was made with, and what its bytes are: what does not fit is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from aftertune.errors import RunError
from aftertune.runs import seal
from aftertune.runs.run import RunFolder

LIKE_A_SEAL = seal.seal(f"{seal.unsealed(seal.Place())[seal.KEY]}".encode()).decode()
FRAME = pl.DataFrame({"number": [1, 2, 3], "text": ["a", "é", LIKE_A_SEAL]})


def begin(folder: Path, route: str = "auto", fingerprint: str = "a" * 64) -> RunFolder:
    run = RunFolder.start(folder, {"base": {"checkpoint": "b"}, "settings": {}}, {"aftertune": "0"})
    run.claim("base.json", {"fingerprint": fingerprint}, {})
    run.claim("attribution.json", {"route": route}, {"n": 1.5})
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    found = begin(tmp_path / "run")
    found.write(part(found), {"x": np.arange(6.0).reshape(2, 3), "text": "é"})
    found.write_frame(layer(found), FRAME)
    return found


def part(run: RunFolder, id: str = "p0", role: str = "base") -> tuple[str, str, str]:
    return run.part("attribution", role, id)


def layer(run: RunFolder) -> tuple[str, str, str]:
    return run.part("attribution-noise/pairs", "base", "layer")


def test_every_flipped_bit_is_seen(run: RunFolder) -> None:
    """The text of a seal in a column does not pass for the seal."""
    for one in (part(run), layer(run)):
        whole = Path(run.path(*one)).read_bytes()
        assert seal.damage(whole) is None
        for bit in range(8 * len(whole)):
            content = bytearray(whole)
            content[bit // 8] ^= 1 << bit % 8
            assert seal.damage(bytes(content)) is not None, (one, bit)


def test_every_flipped_bit_of_a_json_file_is_seen_or_of_no_matter(run: RunFolder) -> None:
    file, told = Path(run.path("attribution.json")), run.read_json("attribution.json")
    whole = file.read_bytes()
    for bit in range(8 * len(whole)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(bytes(content))
        try:
            assert run.read_json("attribution.json") == told, bit
        except RunError as error:
            assert "attribution.json is damaged: " in str(error)


def test_any_reader_reads_a_sealed_file(run: RunFolder) -> None:
    path = run.path(*layer(run))
    assert pl.read_parquet(path).equals(FRAME) and pq.read_table(path).to_pydict() == FRAME.to_dict(as_series=False)
    assert pytest.importorskip("pandas").read_parquet(path)["number"].tolist() == [1, 2, 3]
    told = json.loads(pq.read_metadata(path).metadata[seal.KEY.encode()])
    assert told["address"] == "attribution-noise/pairs/base/layer.parquet"


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"id": "p1"}, "is the part 'attribution/base/p1.parquet' of a run, not of this place"),
        ({"role": "tuned"}, "is the part 'attribution/tuned/p0.parquet' of a run, not of this place"),
        ({"route": "removal"}, "was made with other settings or weights"),
        ({"fingerprint": "b" * 64}, "was made with other settings or weights"),
    ],
)
def test_a_part_of_elsewhere_is_refused(run: RunFolder, tmp_path: Path, there: Mapping[str, Any], said: str) -> None:
    other = begin(tmp_path / "other", **{name: there[name] for name in ("route", "fingerprint") if name in there})
    one = part(other, **{name: there[name] for name in ("id", "role") if name in there})
    other.write(one, {"x": np.arange(3.0)})
    Path(run.path(*part(run))).write_bytes(Path(other.path(*one)).read_bytes())
    for opened in (run, RunFolder.open(run.address)):
        with pytest.raises(RunError, match=f"{said}; take it away. The command that measured it, given again, makes"):
            opened.read(part(run))


def test_rows_that_are_lost_or_doubled_are_refused(run: RunFolder) -> None:
    for changed in (FRAME.head(1), pl.concat([FRAME, FRAME])):
        changed.write_parquet(run.path(*layer(run)))
        with pytest.raises(RunError, match="has no checksum"):
            run.read_frame(layer(run))


def test_the_settings_of_a_part_are_those_of_the_explainer_after_which_its_folder_is_named(run: RunFolder) -> None:
    run.claim("my-tool.json", {"a": 1}, {})
    run.remember("noise-attribution.json", {"shown": 2})
    made_with = {kind: run.place((kind, "base", "x.parquet")).made_with for kind in ("attribution", "other", "my-tool")}
    assert len(set(made_with.values())) == 3
    for kind in ("attribution-shared", "noise-attribution", "attribution/deep"):
        assert run.place((kind, "base", "x.parquet")).made_with == made_with["attribution"]
    for kind in ("my-tool-more", "my-tool/deep"):
        assert run.place((kind, "base", "x.parquet")).made_with == made_with["my-tool"]


def test_a_sealed_file_is_sealed_for_another_place(run: RunFolder) -> None:
    content, place = (
        Path(run.path(*layer(run))).read_bytes(),
        seal.Place("a longer address/of/a part.parquet", "0" * 64),
    )
    again = seal.seal_anew(content, place)
    assert seal.damage(again) is None and seal.stranger(again, place) is None and len(again) == len(content)
    assert seal.seal_anew(again, run.place(layer(run))) == content


def test_damage_is_not_there_while_a_run_is_measured(run: RunFolder) -> None:
    for name in (part(run), layer(run), ("attribution.json",)):
        whole = Path(run.path(*name)).read_bytes()
        for content in (
            b"",
            whole[:100],
            whole.replace(b"auto", b"gold") if name[-1] == "attribution.json" else b"PAR1",
        ):
            Path(run.path(*name)).write_bytes(content)
            assert RunFolder.open(run.address).exists(*name)
            assert not begin_again(run).exists(*name)
        Path(run.path(*name)).write_bytes(whole)
    Path(run.path("attribution.json")).write_bytes(b"")
    assert begin(Path(run.address)).read(part(run))["text"] == "é", "the same settings, made anew"


def begin_again(run: RunFolder) -> RunFolder:
    return RunFolder.start(run.address, {"base": {"checkpoint": "b"}, "settings": {}}, {"aftertune": "0"})
