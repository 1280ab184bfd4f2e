"""The languages of patient pages and messages."""

LANGUAGES = ("en", "es")  # ISO 639-1; of pages, messages and the text packs of the demonstration
