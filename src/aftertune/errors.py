"""Everything that Aftertune raises on purpose.

AftertuneError            what was given, what is allowed, what to do
|-- CheckpointError       a model, adapter or tokenizer that cannot be read, or is not supported
|-- PromptError           a prompt file, a prompt, a span or a response that cannot be used
|-- WordError             a vocabulary, word vectors or a list of verbs that cannot be used
|-- AttributionError      an attribution that was asked for and cannot be computed
|-- AnnotationError       an annotator, its answers, or a file of annotations that cannot be used
`-- RunError              a run folder or a saved result that cannot be written, read or continued
"""


class AftertuneError(Exception):
    """The root of all of them; the command line prints its text and exits with 2."""


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
