"""Which words are asked about, and which are they held against?  (Paper 5.1, table 3.)

1. Instruction verbs: the list of the paper's released run.
2. General verbs: the frequent English words that can be a verb's base form, without stop words and instruction verbs.
3. Any list of one's own, from a file.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice

import fsspec

from aftertune.errors import WordError

INSTRUCTION = """
translate explain summarize retrieve revise generate describe classify create evaluate correct develop identify analyze
compose demonstrate interpret design solve follow clarify say help act recommend estimate edit format repeat write give
find make have tell output predict detect
"""
# Words that stand in text as auxiliaries, prepositions or adverbs far more often than as verbs.
STOPPED = """
be have do can could may might must ought shall should will would dare need let don back down even except forward
further last like long near okay over own please right round still till up well while
"""
INSTRUCTION_VERBS = tuple(INSTRUCTION.split())
STOP_WORDS = frozenset(STOPPED.split())
N_GENERAL = 3000
COMMENT = re.compile(r"(^|\s)#.*")


@cache
def frequent_verbs(n: int = N_GENERAL) -> tuple[str, ...]:
    """The ``n`` most frequent general verbs, most frequent first; raises `WordError` if English has fewer, or n < 1."""
    found = tuple(islice(_verbs(), max(0, n)))
    if n < 1 or len(found) < n:
        raise WordError(f"{n} frequent verbs were asked for; there are {len(tuple(_verbs()))}. Ask for 1 to as many.")
    return found


def read_verbs(path: str) -> tuple[str, ...]:
    """The words or phrases of a file, lower-cased, each once: one a line or between commas; # starts a comment.

    ``path`` is a path or any fsspec address. Raises `WordError` if the file cannot be read, is not text in UTF-8, or
    has no word.
    """
    lines = (COMMENT.sub("", line) for line in _read(str(path)).splitlines())
    words = (" ".join(part.split()).lower() for line in lines for part in line.split(","))
    found = tuple(dict.fromkeys(word for word in words if word))
    if not found:
        raise WordError(f"{path} has no word. Give one word a line, or words between commas; # starts a comment.")
    return found


def _verbs() -> Iterator[str]:
    import lemminflect
    import wordfreq

    left_out = STOP_WORDS.union(INSTRUCTION_VERBS)
    for word in wordfreq.iter_wordlist("en"):
        if word not in left_out and word in lemminflect.getAllLemmas(word).get("VERB", ()):
            yield word


def _read(path: str) -> str:
    try:
        with fsspec.open(path, "rb") as file:
            text: str = file.read().decode("utf-8-sig")
    except FileNotFoundError:
        raise WordError(f"There is no file at {path}. Give the path of a list of words.") from None
    except IsADirectoryError:
        raise WordError(f"{path} is a folder. Give one file of it.") from None
    except UnicodeDecodeError:
        raise WordError(f"{path} is not text in UTF-8. Give a text file with one word a line.") from None
    except (OSError, ValueError, ImportError) as error:
        raise WordError(f"{path} could not be read: {error}. Give a file that can be opened.") from error
    if "\0" in text:
        raise WordError(f"{path} is not text. Give a text file with one word a line.")
    return text
