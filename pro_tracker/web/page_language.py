"""The language of a page, and of pieces of text on it that are in another one (WCAG 3.1.1, 3.1.2)."""

from flask import Flask, g, request
from markupsafe import Markup

from pro_tracker import languages
from pro_tracker.languages import SOURCE, patient_languages
from pro_tracker.web import errors


def init_app(app: Flask) -> None:
    """Lets templates name the language of the page and mark text in another one."""
    app.template_global("page_language")(page_language)
    app.template_global("text_direction")(languages.direction)
    app.template_filter("in_language")(in_language)


def page_language() -> str:
    """Returns the subject's language where a subject is known, else the best of Accept-Language, else English.

    Pages of staff are in English, whatever their browser prefers: only what patients read is translated.
    """
    known: str | None = g.get("language")
    if known or not errors.is_patient_page():
        return known or SOURCE
    return request.accept_languages.best_match(patient_languages()) or SOURCE


def locale() -> str:
    """Returns the page's language as US readers write it: Spanish hours as "2:00 p.m.", not "14:00"."""
    return languages.locale(page_language())


def in_language(text: str, language: str) -> str:
    """Returns the text, marked with its language if that is not the page's."""
    if language == page_language():
        return text
    span = Markup('<span lang="{}" dir="{}">{}</span>')
    return span.format(language, languages.direction(language), text)
