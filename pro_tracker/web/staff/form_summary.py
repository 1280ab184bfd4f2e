"""A summary of the entries of a form, shown on the preview page: a mistyped date appears next to its effects."""

from collections.abc import Iterator
from datetime import date, time
from typing import Any, NamedTuple

from flask_babel import gettext as _
from flask_wtf import FlaskForm
from wtforms import Field, HiddenField, SelectFieldBase

from pro_tracker.web.staff.blueprint import wall_time, weekday


class FormEntry(NamedTuple):
    """Label and value of one field as text."""

    label: str
    text: str


def entries(form: FlaskForm) -> list[FormEntry]:
    """Returns the visible fields with a value, in the order of the form."""
    return list(_entries(form))


def _entries(form: FlaskForm) -> Iterator[FormEntry]:
    for field in form:
        if isinstance(field, HiddenField):
            continue
        text = field_text(field)
        if text:
            yield FormEntry(str(field.label.text), text)


def field_text(field: Field) -> str:
    """Returns the value of a field in words; "" without one."""
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
    selected = [choice for choice in field.iter_choices() if choice.selected]
    return ", ".join(str(choice.label) for choice in selected)
