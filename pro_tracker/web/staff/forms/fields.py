"""The kinds of fields staff forms are made of, each with its plain words for what cannot be used."""

import unicodedata
from collections.abc import Iterable
from typing import Any

import wtforms
from flask_babel import lazy_gettext as _

library: Any = wtforms  # its published types are older than SelectChoice and the invalid_*_message options used here


def one_line(text: str | None) -> str:
    """What was typed, trimmed; control characters (pasted line breaks, NUL, which PostgreSQL refuses) become spaces."""
    signs = (" " if unicodedata.category(sign) == "Cc" else sign for sign in text or "")
    return "".join(signs).strip()


def text_field(label: Any, *validators: Any, **options: Any) -> Any:
    """One line of text, at most 200 characters; "" when empty."""
    bound = library.validators.Length(max=200, message=_("This is longer than 200 characters."))
    return library.StringField(label, [*validators, bound], filters=[one_line], **options)


def integer_field(label: Any, *validators: Any, **options: Any) -> Any:
    message = _("Enter a whole number, such as 5.")
    return library.IntegerField(label, list(validators), invalid_value_message=message, **options)


def decimal_field(label: Any, *validators: Any, **options: Any) -> Any:
    """A Decimal, typed with a point."""
    message = _("Enter a number, with a point if needed: 0.5.")
    return library.DecimalField(label, list(validators), places=None, invalid_value_message=message, **options)


def time_field(label: Any, *validators: Any, **options: Any) -> Any:
    message = _("Enter a time of day, such as 08:30.")
    return library.TimeField(label, list(validators), invalid_value_message=message, **options)


def radio_field(label: Any, advice: Any, **options: Any) -> Any:
    """Radio buttons; the form sets their choices. `advice` says what to choose when nothing is."""
    return library.RadioField(label, invalid_choice_message=advice, **options)


def select_field(label: Any, **options: Any) -> Any:
    """A drop-down list; the form sets its choices."""
    return library.SelectField(label, invalid_choice_message=_("Choose one of the list."), **options)


def choices(labels: Iterable[tuple[str, Any]]) -> list[Any]:
    """(code, label) pairs as the choices of `radio_field` and `select_field`."""
    return [library.SelectChoice(code, label) for code, label in labels]
