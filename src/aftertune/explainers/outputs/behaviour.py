"""How do the answers of both models behave: empty, cut off, looping, copied, how long, in which script and language?

Each is a number for each answer; the two models' are compared prompt by prompt with a permutation test of signs.

An answer is about its prompt if a content word of it comes back, or one that begins with the same five letters: what an
assistant does, and a language model that goes on with a text of its own does not.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aftertune.explainers.outputs.formats import FORMATS
from aftertune.explainers.outputs.response_words import words_of
from aftertune.explainers.outputs.words import Array
from aftertune.statistics.effects import LEAST_PAIRS
from aftertune.statistics.tests import sign_permutation_p_value
from aftertune.words.stop_words import is_content

N_GRAM, TIMES = 4, 3
COPIED_SHARE = HALF = 0.5
LEAST_HITS, SAME_LETTERS = 3, 5
LEAST_SHARE = 0.1  # a smaller difference of answers or letters is a finding, and names nothing
SCRIPTS = {
    "Latin": ("LATIN",),
    "Cyrillic": ("CYRILLIC",),
    "CJK": ("CJK", "HIRAGANA", "KATAKANA", "HANGUL"),
    "Arabic": ("ARABIC",),
    "Devanagari": ("DEVANAGARI",),
    "Greek": ("GREEK",),
    "Hebrew": ("HEBREW",),
}
# The most frequent words of each language that hardly occur in the others.
LANGUAGES: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "English": "the and of to is that it you for with are this was be have not your they from will",
        "French": "le la les des et est une dans pour que qui vous avec sur pas ce sont plus au du nous il elle être",
        "German": "der die das und ist nicht ein eine mit den von zu sie ich auf für es dem auch werden sich im",
        "Spanish": "el los las y es una en que por con para no se del lo como más pero su al este son puede",
        "Italian": "il di che è un una per con non sono del della gli le si come anche più questo nel alla",
        "Portuguese": "o os as e é uma em que para com não do da por se mais como dos ao você são seu um",
        "Dutch": "de het een en van is niet dat ik je met voor op zijn er ook aan te worden maar door bij",
        "Polish": "i w nie na się jest do to z że o jak ale po co dla od przez są tego który może",
    }.items()
}


@dataclass(frozen=True)
class Answer:
    """An answer as it is judged: token ids of the prompt and of the answer, its text, whether it ended itself.

    ``asked`` is the text of the prompt.
    """

    prompt: tuple[int, ...]
    ids: tuple[int, ...]
    text: str
    ended: bool
    asked: str = ""


@dataclass(frozen=True)
class BehaviourRow:
    """``base`` and ``tuned`` over ``n`` prompts: a share of answers or of letters, or a mean number of tokens.

    ``p_value`` is two-sided, by permuting signs within prompts; None where nothing differs or fewer than 6 prompts do.
    """

    behaviour: str
    what: str
    n: int
    base: float
    tuned: float
    difference: float
    p_value: float | None

    @property
    def is_share(self) -> bool:
        """Whether it is a share from 0 to 1."""
        return self.what != LENGTH


LENGTH = "tokens"


def compare_behaviour(base: Sequence[Answer], tuned: Sequence[Answer]) -> list[BehaviourRow]:
    """A row for each behaviour of answers to the same prompts; formats and languages of no answer are left out."""
    if not base:
        return []
    rows = [_row(name, what, judge, base, tuned) for name, (what, judge) in JUDGES.items()]
    same = [float(one.ids == other.ids) for one, other in zip(base, tuned, strict=True)]
    share = float(np.mean(same))
    identical = BehaviourRow("identical to the other's", "answers", len(base), share, share, 0.0, None)
    used = [row for row in rows if row.behaviour in ALWAYS or row.base or row.tuned]
    return [*used, identical]


def paired_p_value(before: Array, after: Array) -> float | None:
    """Two-sided, by permuting signs within pairs (n,); None where fewer than six of them differ."""
    return sign_permutation_p_value(after - before) if (after != before).sum() >= LEAST_PAIRS else None


def is_looping(ids: Sequence[int]) -> bool:
    """Whether any four tokens in a row come three times."""
    return max(Counter(_grams(ids)).values(), default=0) >= TIMES


def is_copied(answer: Answer) -> bool:
    """Whether at least half of the runs of four tokens stand in the prompt."""
    own, known = _grams(answer.ids), set(_grams(answer.prompt))
    return bool(own) and sum(gram in known for gram in own) >= COPIED_SHARE * len(own)


def is_about(answer: Answer) -> bool:
    """Whether a content word of the prompt comes back in the answer."""
    asked, said = (
        {word[:SAME_LETTERS] for word in words_of(text) if is_content(word)} for text in (answer.asked, answer.text)
    )
    return bool(asked & said)


def language_of(text: str) -> str | None:
    """The language whose frequent words a text has most of, None where it has fewer than three of any."""
    counts = Counter(words_of(text))
    hits = {name: sum(counts[word] for word in words) for name, words in LANGUAGES.items()}
    name = max(hits, key=lambda one: hits[one])
    return name if hits[name] >= LEAST_HITS else None


def share_of_script(text: str, script: str) -> float:
    """The share of a text's letters that are of a script."""
    letters = [unicodedata.name(sign, "") for sign in text if sign.isalpha()]
    return sum(name.startswith(SCRIPTS[script]) for name in letters) / len(letters) if letters else 0.0


def share_of_capitals(text: str) -> float:
    """The share of a text's letters that are capitals."""
    letters = [sign for sign in text if sign.isalpha()]
    return sum(sign.isupper() for sign in letters) / len(letters) if letters else 0.0


ABOUT = "about their prompt (a word of it comes back)"
ALWAYS = ("length", "empty", "cut off", "looping", "copied from the prompt")
Judge = Callable[[Answer], float]


def _letters_of(script: str) -> Judge:
    return lambda one: share_of_script(one.text, script)


def _form(test: Callable[[str], bool]) -> Judge:
    return lambda one: test(one.text)


def are(trait: str, answers: str) -> str:
    """The start of a sentence on answers that have a trait."""
    return f"{answers} {'come' if trait.startswith('with') else 'are'} {trait}"


def _in(language: str) -> Judge:
    return lambda one: language_of(one.text) == language


JUDGES: Mapping[str, tuple[str, Judge]] = {
    "length": (LENGTH, lambda one: len(one.ids)),
    "empty": ("answers", lambda one: not one.text.strip()),
    "cut off": ("answers", lambda one: not one.ended),
    "looping": ("answers", lambda one: is_looping(one.ids)),
    "copied from the prompt": ("answers", is_copied),
    ABOUT: ("answers", is_about),
    **{name: ("answers", _form(test)) for name, test in FORMATS.items()},
    "capital letters": ("letters", lambda one: share_of_capitals(one.text)),
    **{f"in {language}": ("answers", _in(language)) for language in LANGUAGES},
    **{f"{script} letters": ("letters", _letters_of(script)) for script in SCRIPTS},
}


def _row(name: str, what: str, judge: Judge, base: Sequence[Answer], tuned: Sequence[Answer]) -> BehaviourRow:
    before, after = (np.array([float(judge(one)) for one in own]) for own in (base, tuned))
    p_value = paired_p_value(before, after)
    means = float(before.mean()), float(after.mean())
    return BehaviourRow(name, what, len(before), *means, means[1] - means[0], p_value)


def _grams(ids: Sequence[int]) -> list[tuple[int, ...]]:
    return [tuple(ids[start : start + N_GRAM]) for start in range(len(ids) - N_GRAM + 1)]
