"""Data in: words with their frequency, and word vectors, from wherever they are kept."""

from aftertune.words.vectors import Vectors, load_vectors
from aftertune.words.vocabulary import Words, load_words

__all__ = ["Vectors", "Words", "load_vectors", "load_words"]
