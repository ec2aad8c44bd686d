"""Data in: words with their frequency, and word vectors, from wherever they are kept."""

from typing import TYPE_CHECKING

from aftertune.lazy_exports import lazy_face

if TYPE_CHECKING:
    from aftertune.words.vectors import Vectors, load_vectors
    from aftertune.words.vocabulary import Words, WordSource, load_words

__all__ = ["Vectors", "WordSource", "Words", "load_vectors", "load_words"]
__getattr__ = lazy_face(
    __name__, {"vectors": ("Vectors", "load_vectors"), "vocabulary": ("WordSource", "Words", "load_words")}
)
