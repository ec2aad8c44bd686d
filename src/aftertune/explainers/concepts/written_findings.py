"""Which words does the change of weights write and read, in sentences?

1. "concepts.written": claimed only where a word stands out further than along any direction of noise of the same size,
   tested once over all directions and corrected for all that the report asks. Else the words beyond the limit of a
   single random direction are described. It names the tuning only by a content word that English has, from `LEAST_Z`
   on: training on the base's own answers exceeds noise too, and writes "their" or "It"; on its own documents, "umin".
2. "concepts.read": described. Any training changes what is read of some words more than noise would.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from aftertune.explainers.concepts.written import ReadRow, WrittenRow, WrittenTest
from aftertune.runs.readable import visible
from aftertune.statistics.finding import Finding, Link, Part, Verdict
from aftertune.statistics.questions import Question, corrected_by, described, is_shown
from aftertune.words.english import english_words
from aftertune.words.stop_words import is_content

WRITTEN, READ = "concepts.written", "concepts.read"
N_NAMED, N_ROWS, N_READ, N_EVIDENCE = 5, 5, 8, 12
# Standard deviations over the vocabulary. Content words of pairs in which nothing was tuned have at most 5.7,
# of a tuning mostly 8.8 to 13.5 (docs/validity.md).
LEAST_Z = 6.5
LEAST_FREQUENCY = 1e-6  # of an English word


def written_questions(
    written: Sequence[WrittenRow], test: WrittenTest | None, read: Sequence[ReadRow]
) -> list[Question]:
    """What a report asks of the change of weights itself; nothing where that was not read."""
    if test is None:
        return []
    return [Question([test.p_value], lambda p: [_written(written, test, p[0])]), described(list(_read(read)))]


def evidence(written: Sequence[WrittenRow]) -> list[str]:
    """The first words of the directions that stand out furthest, for somebody who is to name the tuning."""
    words = [visible(word) for word in _named(sorted(written, key=lambda row: -row.z)[:N_EVIDENCE], N_EVIDENCE)]
    return [f"Words that the difference of weights writes: {', '.join(words)}."] if words else []


def spelled(words: Sequence[str]) -> str:
    """Words in a sentence; what is no word in quotes, its line ends shown."""
    return ", ".join(word if word.isalpha() else f"“{visible(word).replace(chr(10), '⏎')}”" for word in words)


def _written(written: Sequence[WrittenRow], test: WrittenTest, corrected: float | None) -> Finding:
    shown = is_shown(corrected)
    rows = [row for row in written if (row.is_beyond_noise if shown else row.is_beyond_limit)]
    words = _named(rows)
    headline = {
        None: "Whether words stand out in the change of weights can't be told without noise of the same size",
        False: "No word stands out in what the change of weights writes, beyond noise of the same size",
        True: f"The change of weights writes {spelled(words)}",
    }[shown]
    evidence: dict[str, Any] = {name: getattr(test, name) for name in ("largest", "limit", "noise_mean", "noise_limit")}
    evidence |= {"n_directions": test.n_directions, "n_draws": test.n_draws, "p_value": test.p_value}
    evidence |= {"n_listed": len(rows), "words": words, "p_value_corrected": corrected}
    parts = [_beside(test), _listed(rows, test, bool(shown)), corrected_by(corrected)]
    sentence, link = " ".join(part for part in parts if part), Link("Words of the change", "concept_written")
    named = [row for row in rows if row.z >= LEAST_Z and _says_something(row.words[0])]
    part = Part.NAME if shown and named else None
    clause = f"What the change of weights itself writes: {spelled(words)}."
    return Finding(WRITTEN, headline, sentence, Verdict.of(shown), evidence, (link,), part, clause)


def _says_something(word: str) -> bool:
    """Whether it is a content word as it stands, and no piece of one."""
    return is_content(word) and word.lower() in english_words(LEAST_FREQUENCY)


def _named(rows: Sequence[WrittenRow], most: int = N_NAMED) -> list[str]:
    """The first word of each row, each once, content words first."""
    found = {row.words[0].lower(): row.words[0] for row in reversed(rows)}
    order = list(dict.fromkeys(row.words[0].lower() for row in rows))
    whole = [word for word in order if is_content(word)]
    return [found[word] for word in (*whole, *(one for one in order if one not in whole))][:most]


def _beside(test: WrittenTest) -> str:
    of = f"Along the {test.n_directions:,} directions that the change writes along most, a word stands out by at most "
    if test.noise_limit is None:
        return f"{of}{test.largest:.1f} standard deviations. No noise of the same size was read."
    return (
        f"{of}{test.largest:.1f} standard deviations over the vocabulary; along those of noise of the same size, by "
        f"{test.noise_mean:.1f} on average over {test.n_draws} draws and by {test.noise_limit:.1f} at most."
    )


def _listed(rows: Sequence[WrittenRow], test: WrittenTest, shown: bool) -> str:
    if not rows:
        return ""
    told = "; ".join(f"{_place(row)}: {spelled(row.words[:N_NAMED])}" for row in rows[:N_ROWS])
    beyond = "noise" if shown else f"99 of 100 single random directions ({test.limit:.1f})"
    n = len(rows)
    return f"Beyond {beyond} {'lies' if n == 1 else 'lie'} {n:,}, the last layers first: {told}."


def _place(row: WrittenRow) -> str:
    brings = "" if row.brings is None else f", which brings {row.brings:.0%} of the change by itself"
    return f"layer {row.layer}, {row.module}{brings}"


def _read(read: Sequence[ReadRow]) -> Iterator[Finding]:
    """The words of which the changed networks read most differently."""
    rows = read[:N_READ]
    if not rows:
        return
    words, first = [row.word for row in rows], rows[0]
    sentence = (
        f"The change of what feed-forward networks read is largest, against what the base reads, of {spelled(words)}. "
        f"The first gets {first.times_noise:.2f} times what noise of the same size gives a word (at most "
        f"{first.noise_limit:.2f}). Any training exceeds noise here, so this is no test."
    )
    headline = f"The change of weights reads most of {spelled(words[:N_NAMED])}"
    evidence = {"words": words, "times_noise": [row.times_noise for row in rows], "noise_limit": first.noise_limit}
    yield Finding(READ, headline, sentence, Verdict.NOT_TESTED, evidence, (Link("Words read", "concept_read"),))
