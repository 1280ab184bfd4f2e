"""The forms with which staff merge two records of one person, and separate them again."""

from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms.validators import DataRequired

from pro_tracker.web.staff.forms import fields


class FindRecordForm(FlaskForm):  # type: ignore[misc]
    """Finds the record to keep."""

    kept = fields.text_field(
        _("Study code or record number of the record to keep"), DataRequired(_("Name the record to keep."))
    )


class MergeForm(FindRecordForm):
    """The courses of the other record that are recorded twice, and how it is known that both are one person."""

    duplicates = fields.library.SelectMultipleField(
        _("Courses that are recorded twice"),
        description=_("Tick those that the record to keep has, too. They end; the others go on."),
    )
    reason = fields.text_field(
        _("How do you know that this is one person?"), DataRequired(_("Say how you know that this is one person."))
    )

    def __init__(self, courses: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.duplicates.choices = fields.choices(courses)


class SeparationForm(FlaskForm):  # type: ignore[misc]
    reason = fields.text_field(_("Why are these two people?"), DataRequired(_("Say why the records are separated.")))
