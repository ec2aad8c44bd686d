"""Everything that Aftertune raises on purpose.

AftertuneError            what was given, what is allowed, what to do
|-- CheckpointError       a model, adapter or tokenizer that cannot be read, or is not supported
|-- PromptError           a prompt file, a prompt, a span or a response that cannot be used
|-- WordError             a vocabulary, word vectors or a list of verbs that cannot be used
|-- AttributionError      an attribution that was asked for and cannot be computed
|-- AnnotationError       an annotator, its answers, or a file of annotations that cannot be used
`-- RunError              a run folder or a saved result that cannot be written, read or continued
"""

from collections.abc import Iterable
from difflib import get_close_matches


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
    found = get_close_matches(str(given), list(known), n=1, cutoff=0.7)
    return f" Did you mean {found[0]}?" if found else ""


class AftertuneError(Exception):
    """The root of all of them; the command line prints its text and exits with 2.

    What may be secret in an address is not in the text, whoever wrote it.
    """

    def __init__(self, *told: object) -> None:
        from aftertune.addresses import without_secrets

        super().__init__(*(without_secrets(one) if isinstance(one, str) else one for one in told))


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
