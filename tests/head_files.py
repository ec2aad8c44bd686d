"""Words, word vectors and verbs as files, for tests that read heads of the tiny checkpoints on disk."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from aftertune.explainers.heads.verbs import INSTRUCTION_VERBS, frequent_verbs

MADE_UP = tuple("".join(syllables) for syllables in product(("ba", "ce", "di", "fo", "gu", "ha", "je"), repeat=3))
WORDS = (*INSTRUCTION_VERBS, *frequent_verbs()[:60], *MADE_UP[:200], "Write", "qqq")  # the last has no vector


@dataclass(frozen=True)
class HeadFiles:
    """Paths of a list of words, their vectors, and a list of verbs."""

    words: Path
    vectors: Path
    verbs: Path

    @property
    def options(self) -> tuple[str, ...]:
        """What the command line is given."""
        return ("--words", str(self.words), "--vectors", str(self.vectors))


def save_head_files(folder: Path) -> HeadFiles:
    """The words above, vectors of theirs in clusters, so that many pairs pass the threshold, and two verbs."""
    generator, known = np.random.default_rng(1), [word for word in WORDS if word not in ("Write", "qqq")]
    centres = generator.normal(size=(12, 8))
    rows = centres[np.arange(len(known)) % 12] + 0.5 * generator.normal(size=(len(known), 8))
    lines = (f"{word} {' '.join(f'{number:.4f}' for number in row)}" for word, row in zip(known, rows, strict=True))
    contents = {"words.txt": WORDS, "vectors.txt": lines, "verbs.txt": ("write # compose", "Bababa, zzz")}
    for name, content in contents.items():
        (folder / name).write_text("\n".join(content) + "\n", encoding="utf-8")
    return HeadFiles(*(folder / name for name in contents))
