"""The form with which staff record a death, or correct its date."""

from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField
from wtforms.validators import DataRequired, Optional

from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class DeathForm(FlaskForm):  # type: ignore[misc]
    """Date and source. `is_confirmed` is shown once the date lies before something that the subject did."""

    as_shown = HiddenField()
    died_on = DateInputField(
        _("Date of death"), [Optional()], description=_("The day where the patient lived. Empty if it is not known.")
    )
    precision = fields.radio_field(_("How certain is the day?"), _("Choose how certain the day is."))
    is_confirmed = BooleanField(_("The date of death is right all the same"))
    reason = fields.text_field(
        _("How does the clinic know?"),
        DataRequired(_("Say how the clinic knows.")),
        description=_("Such as: a relative called; hospital letter. No names."),
    )

    def __init__(self, *, is_correction: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.precision.choices = fields.choices(labels.DEATH_DATE_PRECISIONS.items())
        if is_correction:
            self.reason.label.text, self.reason.description = _("Why does it change?"), ""

    @property
    def asks_confirmation(self) -> bool:
        """Returns whether the box that confirms the date is shown."""
        return bool(self.is_confirmed.errors or self.is_confirmed.data)

    def facts(self) -> DeathFacts:
        """Returns the entries as the service takes them."""
        precision = DeathDatePrecision(self.precision.data)
        return DeathFacts(self.died_on.data, precision, self.reason.data, is_confirmed=self.is_confirmed.data)
