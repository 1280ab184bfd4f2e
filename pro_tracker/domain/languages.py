"""The languages of patient pages and messages."""

LANGUAGES = ("en", "es")  # ISO 639-1; of pages, messages and the text packs of the demonstration


def for_patients(sentence: str) -> str:
    """Returns the sentence, and marks it for the catalogue: pages translate what services raise (web/errors.py)."""
    return sentence
