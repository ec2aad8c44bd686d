"""Maps in one Parquet file: the layout in which the paper's maps were released, and in which ours are exported.

One row for each prompt and model: ``id, dataset, model, prompt_tokens, response_tokens, n_prompt, n_response, levels``.
``levels`` are the n_prompt x n_response bytes of S (Eq. 2 with L = 10 and b = 0), row by row. Files that we write
carry three columns more, since a template may stand around the prompt: ``prompt_offsets``, where each prompt token
stands in the prompt's text, as int32 pairs (start, end), one after the other; ``prompt_text``, that text with its
template; ``is_user``, which tokens the user wrote. Further columns are let through unread.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from aftertune.errors import RunError, translated
from aftertune.explainers.attribution.result import SalientMap
from aftertune.explainers.attribution.score import N_LEVELS
from aftertune.places import opened
from aftertune.runs.parts import replacing

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("dataset", pa.string()),
        ("model", pa.string()),
        ("prompt_tokens", pa.list_(pa.string())),
        ("response_tokens", pa.list_(pa.string())),
        ("n_prompt", pa.int64()),
        ("n_response", pa.int64()),
        ("levels", pa.binary()),
        ("prompt_offsets", pa.list_(pa.int32())),
        ("prompt_text", pa.string()),
        ("is_user", pa.list_(pa.bool_())),
    ]
)
OPTIONAL = ("prompt_offsets", "prompt_text", "is_user")
REQUIRED = tuple(name for name in SCHEMA.names if name not in OPTIONAL)
ROWS_AT_A_TIME = 256
REMEDY = "Give the path of a Parquet file of maps."


@dataclass(frozen=True, eq=False)
class RawMap:
    """One row of the layout: a map that does not yet know its prompt's text, instruction and rating.

    ``levels`` (n_prompt, n_response) are 0 to 10. ``prompt_offsets`` (n_prompt, 2) int64 are character ranges in
    ``prompt_text``, the prompt with its template (without it, in the prompt itself); ``is_user`` (n_prompt,) marks
    what the user wrote. The three are None where the file has none.
    """

    id: str
    dataset: str
    model: str
    prompt_tokens: tuple[str, ...]
    response_tokens: tuple[str, ...]
    n_prompt: int
    n_response: int
    levels: npt.NDArray[np.uint8]
    prompt_offsets: npt.NDArray[np.int64] | None = None
    prompt_text: str | None = None
    is_user: npt.NDArray[np.bool_] | None = None


def read_maps(path: str | Path) -> list[RawMap]:
    """The maps of a Parquet file, in its order.

    Raises `RunError` if there is no such file, it is not Parquet, a column is missing or of another type, a row does
    not fit its own sizes, a level is above 10, or two rows have the same id and model.
    """
    table = _read_table(path)
    with translated(RunError, f"{path} holds rows that are no maps", "Make it again."):
        maps = [_to_map(row, path) for batch in table.to_batches(ROWS_AT_A_TIME) for row in batch.to_pylist()]
    twice = [key for key, count in Counter((m.id, m.model) for m in maps).items() if count > 1]
    if twice:
        raise RunError(
            f"{path} has more than one row of prompt {twice[0][0]!r} under {twice[0][1]!r}"
            f"{f' and of {len(twice) - 1} more' if len(twice) > 1 else ''}. Keep one row for each prompt and model."
        )
    return maps


def write_maps(maps: Sequence[SalientMap], path: str | Path) -> None:
    """Write maps as one Parquet file, whole or not at all; raises `RunError` if the place cannot be written."""
    with replacing(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(maps), ROWS_AT_A_TIME):
            rows = [_to_row(salient) for salient in maps[start : start + ROWS_AT_A_TIME]]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def _read_table(path: str | Path) -> pa.Table:
    what = f"{path} could not be read as a Parquet file of maps"
    with opened(str(path), RunError, REMEDY) as file, translated(RunError, what, "Make it again."):
        parquet = pq.ParquetFile(file)
        names = [name for name in SCHEMA.names if name in parquet.schema_arrow.names]
        given = ", ".join(parquet.schema_arrow.names) or "no column"
        missing = [name for name in REQUIRED if name not in names]
        if missing:
            raise RunError(
                f"{path} has no {', '.join(missing)}; it has {given}. Maps need the columns {', '.join(REQUIRED)}."
            )
        return parquet.read(columns=names).cast(pa.schema([SCHEMA.field(name) for name in names]))


def _to_map(row: dict[str, Any], path: str | Path) -> RawMap:
    name = f"{path}, prompt {row['id']!r} under {row['model']!r}"
    empty = [key for key in REQUIRED if row[key] is None]
    if empty:
        raise RunError(f"{name}: {', '.join(empty)} is empty. Every row needs all of its columns.")
    _check_sizes(row, name)
    levels = np.frombuffer(row["levels"], dtype=np.uint8).reshape(row["n_prompt"], row["n_response"])
    if levels.size and levels.max() > N_LEVELS:
        raise RunError(f"{name}: a level is {levels.max()}. Levels are 0 to {N_LEVELS} (Eq. 2 with L = {N_LEVELS}).")
    offsets, is_user = row.get("prompt_offsets"), row.get("is_user")
    return RawMap(
        **{key: row[key] for key in ("id", "dataset", "model", "n_prompt", "n_response")},
        prompt_tokens=tuple(row["prompt_tokens"]),
        response_tokens=tuple(row["response_tokens"]),
        levels=levels,
        prompt_offsets=None if offsets is None else np.array(offsets, dtype=np.int64).reshape(-1, 2),
        prompt_text=row.get("prompt_text"),
        is_user=None if is_user is None else np.array(is_user, dtype=np.bool_),
    )


def _check_sizes(row: dict[str, Any], name: str) -> None:
    n_prompt, n_response = row["n_prompt"], row["n_response"]
    if n_prompt < 0 or n_response < 0:
        raise RunError(f"{name}: n_prompt = {n_prompt} and n_response = {n_response}. Neither may be below 0.")
    expected = {
        "prompt_tokens": n_prompt,
        "response_tokens": n_response,
        "levels": n_prompt * n_response,
        "prompt_offsets": 2 * n_prompt,
        "is_user": n_prompt,
    }
    for key, size in expected.items():
        found = row.get(key)
        if found is not None and len(found) != size:
            raise RunError(
                f"{name}: {key} has {len(found)} entries, but n_prompt = {n_prompt} and n_response = {n_response} "
                f"ask for {size}. Write the row again."
            )
        if key.endswith("_tokens") and any(token is None for token in row[key]):
            raise RunError(f"{name}: {key} has an empty entry. Give every token its text.")


def _to_row(salient: SalientMap) -> dict[str, Any]:
    return {
        "id": salient.id,
        "dataset": salient.dataset,
        "model": salient.model,
        "prompt_tokens": list(salient.prompt_tokens),
        "response_tokens": list(salient.response_tokens),
        "n_prompt": salient.n_prompt,
        "n_response": salient.n_response,
        "levels": np.ascontiguousarray(salient.levels, dtype=np.uint8).tobytes(),
        "prompt_offsets": salient.offsets.astype(np.int32).reshape(-1).tolist(),
        "prompt_text": salient.text,
        "is_user": salient.is_user.tolist(),
    }
