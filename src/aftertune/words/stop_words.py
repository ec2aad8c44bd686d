"""English words of every text, which say nothing about its subject: those of four letters or more, and shorter ones."""

LONG = """
about above across after again against along also although among another anything around because been before being
below between beyond both cannot could does doing down during each either else even every everything from further have
having here hers herself himself however instead into itself just like many more most much must myself neither none
nothing once only onto other others otherwise ours ourselves over perhaps same shall should since some somewhat such
than that their theirs them themselves then there therefore these they this those though through thus together toward
towards under unless until upon very were what whatever when where whereas whether which while whom whose will with
within without would your yours yourself yourselves
"""
SHORT = """
a all am an and any are as at be but by can did do for from get got had has have he her him his how if in into is it its
let may me my no nor not of off on one or our out per say see she so the to too two up us use via was way we who why yet
you
"""
STOP_WORDS = frozenset((LONG + SHORT).split())


def is_content(word: str) -> bool:
    """Whether a word has three letters or more, nothing but letters, and is no stop word."""
    return word.isalpha() and len(word) >= LEAST_LETTERS and word.lower() not in STOP_WORDS


LEAST_LETTERS = 3
