"""The form with which staff record a withdrawal."""

from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField
from wtforms.validators import DataRequired

from pro_tracker.web import labels
from pro_tracker.web.staff.forms import fields


class WithdrawalForm(FlaskForm):  # type: ignore[misc]
    as_shown = HiddenField()
    scope = fields.radio_field(_("What does the patient want?"), _("Choose what the patient wants."))
    reason = fields.text_field(_("Why does the patient withdraw?"), DataRequired(_("Say why the patient withdraws.")))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scope.choices = fields.choices(labels.WITHDRAWAL_SCOPES.items())
