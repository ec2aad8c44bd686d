"""Everything that Aftertune raises on purpose.

AftertuneError            what was given, what is allowed, what to do
|-- CheckpointError       a model, adapter or tokenizer that cannot be read, or is not supported
|-- PromptError           a prompt file, a prompt, a span or a response that cannot be used
|-- WordError             a vocabulary, word vectors or a list of verbs that cannot be used
|-- AttributionError      an attribution that was asked for and cannot be computed
|-- AnnotationError       an annotator, its answers, or a file of annotations that cannot be used
`-- RunError              a run folder or a saved result that cannot be written, read or continued

At each border (YAML, JSON, Jinja, tokenizers, safetensors, Parquet, file systems, servers) `translated` turns what a
third party raises into one of these.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

LONGEST_WORD = 300  # characters without white space: longer than any path, address or name that helps to find a fault
LONGEST_MESSAGE = 1500
LONGEST_REASON = 300
GOES_ON = "…"
UNBROKEN = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
ENDS = (KeyboardInterrupt, SystemExit, GeneratorExit)  # no failures: someone wants to stop


def not_known(what: str, given: object, allowed: Iterable[object]) -> str:
    """The sentence on a value that is none of those allowed, with the one that was probably meant."""
    known = [str(one) for one in allowed]
    return f"The {what} {given!r} is not known. Allowed: {', '.join(known)}.{meant(given, known)}"


def meant_or_known(given: object, known: Iterable[str]) -> str:
    """What was probably meant, else all that is known: where there is much of it."""
    names = list(known)
    return meant(given, names) or f" Known: {', '.join(names)}."


def meant(given: object, known: Iterable[str]) -> str:
    """ " Did you mean ...?" where something known is spelled much like what was given, else nothing."""
    found = get_close_matches(str(given)[:LONGEST_WORD], list(known), n=1, cutoff=0.7)
    return f" Did you mean {found[0]}?" if found else ""


def shortened(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """A message without the middle of values that are too long to read; how it begins and ends is kept."""
    text = UNBROKEN.sub(lambda word: _without_middle(word[0], LONGEST_WORD), text)
    return _without_middle(text, longest)


def _without_middle(text: str, longest: int) -> str:
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}{GOES_ON}{text[-half:]}"


def reason_of(error: BaseException) -> str:
    """Why something failed: the first line of what is said without its full stop, or ours where it says little."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if is_out_of_memory(error):
        return "there is not enough memory for it"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, KeyError) and error.args:
        return f"it has no {error.args[0]!r}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]  # a heading says nothing without its line
    return shortened(said, LONGEST_REASON).rstrip(".")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's, PyTorch's on the CPU, or on a GPU."""
    text = str(error).lower()
    says_so = "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or (isinstance(error, RuntimeError) and says_so)


@contextmanager
def within_memory(kind: "type[AftertuneError]", what: str, remedy: str) -> Iterator[None]:
    """Raise ``kind`` where memory runs out in the block; every other error passes."""
    try:
        yield
    except Exception as error:
        if isinstance(error, AftertuneError) or not is_out_of_memory(error):
            raise
        raise kind(f"Memory ran out{what and f' {what}'}. {remedy}") from error


@contextmanager
def translated(kind: "type[AftertuneError]", what: str, remedy: str) -> Iterator[None]:
    """Raise ``kind`` for whatever the block raises that is not ours: "WHAT: the reason. REMEDY".

    That goes for panics of Rust's libraries too (pyo3's PanicException, which is no `Exception`), for too deep a
    recursion, and for memory that is not there. The cause is kept. An interruption, and our own errors, pass.
    """
    try:
        yield
    except (AftertuneError, *ENDS):
        raise
    except BaseException as error:
        raise kind(f"{what}: {reason_of(error)}. {remedy}") from error


class AftertuneError(Exception):
    """The root of all of them; the command line prints its text and exits with 2.

    Too long a text loses its middle. What may be secret in an address is not in it, whoever wrote it.
    """

    longest = LONGEST_MESSAGE

    def __init__(self, message: str = "") -> None:
        from aftertune.addresses import without_secrets

        super().__init__(shortened(without_secrets(message), self.longest))


class CheckpointError(AftertuneError):
    """A model, adapter or tokenizer that cannot be read, or whose architecture is not supported."""


class PromptError(AftertuneError):
    """A prompt file, a prompt, a span or a response that cannot be used."""


class WordError(AftertuneError):
    """A vocabulary, word vectors or a list of verbs that cannot be used."""


class AttributionError(AftertuneError):
    """An attribution that was asked for and cannot be computed."""


class AnnotationError(AftertuneError):
    """An annotator, its answers, or a file of annotations that cannot be used."""


class RunError(AftertuneError):
    """A run folder or a saved result that cannot be written, read or continued."""
