"""GLOBAL: what do the words of a concept have in common?  Asked of chat models, word vectors, or people (D.1)."""
