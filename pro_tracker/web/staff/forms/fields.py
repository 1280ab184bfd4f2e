"""Constructors for the fields of staff forms, each with an error message in plain words."""

import unicodedata
from collections.abc import Callable, Container, Iterable
from typing import Any

import wtforms
from flask_babel import lazy_gettext as _

library: Any = wtforms  # untyped: the published stubs lack SelectChoice and the invalid_*_message options used here


def one_line(text: str | None) -> str:
    """Returns the text trimmed, with control characters replaced by spaces ("" for None).

    Control characters come from pasted line breaks; PostgreSQL does not accept NUL in text.
    """
    entered = text or ""
    characters = (" " if unicodedata.category(character) == "Cc" else character for character in entered)
    return "".join(characters).strip()


def text_field(label: Any, *validators: Any, **options: Any) -> Any:
    """Returns a field for one line of text of at most 200 characters; its data is "" when empty."""
    bound = library.validators.Length(max=200, message=_("This is longer than 200 characters."))
    return library.StringField(
        label,
        [*validators, bound],
        filters=[one_line],
        **options,
    )


def integer_field(label: Any, *validators: Any, **options: Any) -> Any:
    """Returns a field for a whole number."""
    return library.IntegerField(
        label,
        list(validators),
        invalid_value_message=_("Enter a whole number, such as 5."),
        **options,
    )


class _NumberField(library.DecimalField):  # type: ignore[misc]
    """A field for a Decimal that takes no infinity and nothing that is not a number, as Decimal itself does."""

    data: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata(valuelist)
        if self.data is not None and not self.data.is_finite():
            self.data = None
            raise ValueError(self.invalid_value_message)


def decimal_field(label: Any, *validators: Any, **options: Any) -> Any:
    """Returns a field for a Decimal, entered with a point and kept with its decimals."""
    return _NumberField(
        label,
        list(validators),
        places=None,
        invalid_value_message=_("Enter a number, with a point if needed: 0.5."),
        **options,
    )


def time_field(label: Any, *validators: Any, **options: Any) -> Any:
    """Returns a field for a time of day."""
    return library.TimeField(
        label,
        list(validators),
        invalid_value_message=_("Enter a time of day, such as 08:30."),
        **options,
    )


def radio_field(label: Any, advice: Any, **options: Any) -> Any:
    """Returns radio buttons, whose choices the form sets. `advice` is the error text without a valid choice."""
    return library.RadioField(label, invalid_choice_message=advice, **options)


def optional_radio_field(label: Any, codes: Container[str], **options: Any) -> Any:
    """Returns radio buttons of which none has to be chosen; its data is one of `codes`, or None."""
    return library.RadioField(label, coerce=_one_of(codes), validate_choice=False, **options)


def optional_select_field(label: Any, codes: Container[str], **options: Any) -> Any:
    """Returns a drop-down list of which none has to be chosen; its data is one of `codes`, or None."""
    return library.SelectField(label, coerce=_one_of(codes), validate_choice=False, **options)


def _one_of(codes: Container[str]) -> Callable[[Any], str | None]:
    return lambda value: value if value in codes else None


def select_field(label: Any, **options: Any) -> Any:
    """Returns a drop-down list, whose choices the form sets."""
    message = _("Choose one of the list.")
    return library.SelectField(label, invalid_choice_message=message, **options)


def choices(labels: Iterable[tuple[str, Any]]) -> list[Any]:
    """Returns (code, label) pairs as the choices of `radio_field` and `select_field`."""
    return [library.SelectChoice(code, label) for code, label in labels]
