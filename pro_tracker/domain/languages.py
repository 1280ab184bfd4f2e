"""The languages that patients' pages and messages are written in."""

LANGUAGES = ("en", "es")  # of pages, messages and demonstration text packs
