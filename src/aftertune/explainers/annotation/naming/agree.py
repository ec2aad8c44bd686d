"""Do an annotator's repeats give the tuning the same name?

Free names are seldom equal to the letter. Two agree if they share a content word: of four letters or more, no stop
word, none that the name of any tuning may have, its first five letters compared, so that "pirate" is "pirates". A name
is told only if four of five repeats (`SHARE`) have one content word in common.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aftertune.explainers.annotation.descriptions import WORD
from aftertune.words.stop_words import STOP_WORDS

LEAST_LETTERS, STEM_LETTERS, SHARE = 4, 5, 0.8
# What the name of any tuning may say: the words of the question, and verbs for answering at all. "language" and
# "question" are not among them: they say what was tuned.
OF_ANY_NAME = """
adds always answer apart begin contain describe difference different end ends ending enter first focus form gave give
gives giving include kind lack like long mention model more often output produce prompt prefer provide reply replies
respond response second sentence sets show simple something speak start style subject talk talks tend tends text tone
topic uses using word words write writing written
"""


@dataclass(frozen=True)
class Agreed:
    """A ``name`` of the tuning, the ``shared`` beginning of a word, and the ``names`` of the repeats that share it."""

    name: str
    shared: str
    names: tuple[str, ...]


def agreed(answers: Sequence[str | None]) -> Agreed | None:
    """The name on which at least four of five repeats agree; None where they do not, or fewer than two were asked.

    Of the names that agree it is the one that shares most content words with the others, the first of equals.
    """
    own = [(name, stems(name)) for name in answers if name is not None]
    counts = Counter(stem for _, found in own for stem in found)
    if len(answers) < 2 or not counts:
        return None
    shared, n = max(counts.items(), key=lambda item: (item[1], item[0]))
    if n < SHARE * len(answers):
        return None
    names = [(name, found) for name, found in own if shared in found]
    best = max(names, key=lambda one: sum(counts[stem] - 1 for stem in one[1]))
    return Agreed(best[0], shared, tuple(name for name, _ in names))


def stems(name: str) -> frozenset[str]:
    """The content words of a name, each by its first five letters."""
    words = (word.lower() for word in WORD.findall(name))
    found = frozenset(word[:STEM_LETTERS] for word in words if len(word) >= LEAST_LETTERS and word not in STOP_WORDS)
    return found - OF_ANY


OF_ANY = frozenset(word[:STEM_LETTERS] for word in OF_ANY_NAME.split())
