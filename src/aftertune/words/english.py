"""Which words does English have?  By their share of tokens in wordfreq's list, in lower case."""

from functools import cache


@cache
def english_words(least: float) -> frozenset[str]:
    """Words of a share of ``least`` or more."""
    import wordfreq

    return frozenset(word for word, share in wordfreq.get_frequency_dict("en").items() if share >= least)
