"""The form with which staff say why no infusion was given on a planned day."""

from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField
from wtforms.validators import Optional

from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class MissedInfusionForm(FlaskForm):  # type: ignore[misc]
    """`planned_on`: the day that the page was about, as ISO 8601 text."""

    planned_on = HiddenField()
    kind = fields.radio_field(_("What happened?"), _("Choose what happened."))
    next_on = DateInputField(
        _("Next planned day"),
        [Optional()],
        description=_("Empty if the patient did not come and no day is agreed yet."),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind.choices = fields.choices(labels.MISSED_INFUSIONS.items())
