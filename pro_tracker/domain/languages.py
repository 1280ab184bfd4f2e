"""A mark for sentences that patients read in their language."""


def for_patients(sentence: str) -> str:
    """Returns the sentence, and marks it for the catalogue: pages translate what services raise (web/errors.py)."""
    return sentence
