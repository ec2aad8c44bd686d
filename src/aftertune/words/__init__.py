"""Data in: words with their frequency, and word vectors, from wherever they are kept."""

from aftertune.words.vectors import Vectors, load_vectors
from aftertune.words.vocabulary import Words, WordSource, load_words

__all__ = ["Vectors", "WordSource", "Words", "load_vectors", "load_words"]
