"""The choice among the languages that a text is written in. Pure."""

from collections.abc import Mapping


def best_language(texts: Mapping[str, object], language: str) -> str:
    """Returns `language` or, for "es-MX", "es", if `texts` has it; otherwise the first language of `texts`."""
    known = [each for each in (language, language.partition("-")[0]) if texts.get(each)]
    return next(iter([*known, *texts]))
