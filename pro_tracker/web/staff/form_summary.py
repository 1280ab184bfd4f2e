"""What was typed into a form, read back before it is saved: a mistyped day shows beside what it moves."""

from collections.abc import Iterator
from datetime import date, time
from typing import Any, NamedTuple

from flask_babel import gettext as _
from flask_wtf import FlaskForm
from wtforms import Field, HiddenField, SelectFieldBase

from pro_tracker.web.staff.blueprint import wall_time, weekday


class FormEntry(NamedTuple):
    """One field as people read it."""

    label: str
    text: str


def entries(form: FlaskForm) -> list[FormEntry]:
    """The fields that hold something, in the form's order; those that nobody sees or filled in are left out."""
    return list(_entries(form))


def _entries(form: FlaskForm) -> Iterator[FormEntry]:
    for field in form:
        text = "" if isinstance(field, HiddenField) else _text(field)
        if text:
            yield FormEntry(str(field.label.text), text)


def _text(field: Field) -> str:
    if isinstance(field, SelectFieldBase):
        return _chosen(field)
    match field.data:
        case bool(ticked):
            return _("yes") if ticked else ""
        case date() as on:
            return weekday(on)
        case time() as at:
            return wall_time(at)
    return "" if field.data is None else str(field.data)


def _chosen(field: Any) -> str:
    return ", ".join(str(choice.label) for choice in field.iter_choices() if choice.selected)
