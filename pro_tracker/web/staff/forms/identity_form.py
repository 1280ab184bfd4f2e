"""The form that corrects who a patient is. The rules are in services/enrolment."""

from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField
from wtforms.validators import DataRequired, Optional

from pro_tracker.domain.subject_codes import Sex
from pro_tracker.services.enrolment.identity_corrections import IdentityCorrection, IdentityFacts
from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class IdentityForm(FlaskForm):  # type: ignore[misc]
    """The fields of IdentityFacts, under the same names, and a reason."""

    as_shown = HiddenField()
    given_name = fields.text_field(_("Given name"))
    family_name = fields.text_field(_("Family name"))
    birth_date = DateInputField(
        _("Date of birth"), [Optional()], description=_("Opens the patient's questions: check it with the patient.")
    )
    record_number = fields.text_field(_("Record number"))
    sex = fields.radio_field(_("Sex"), _("Choose the sex, or “not known”."))
    consent_version = fields.text_field(_("Version of the consent form signed"), description=_("The newest one."))
    consent_on = DateInputField(_("Date of consent"), [Optional()])
    reason = fields.text_field(
        _("Why is this corrected?"),
        DataRequired(_("Say why this is corrected.")),
        description=_("It is kept with the former values. Name nobody in it."),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sexes = labels.SEXES.items()
        self.sex.choices = fields.choices(sexes)

    def correction(self) -> IdentityCorrection:
        """Returns the entries as the service takes them."""
        entered = IdentityFacts(
            given_name=self.given_name.data,
            family_name=self.family_name.data,
            birth_date=self.birth_date.data,
            record_number=self.record_number.data,
            sex=Sex(self.sex.data),  # one of the choices, since the form is valid
            consent_version=self.consent_version.data,
            consent_on=self.consent_on.data,
        )
        return IdentityCorrection(entered, self.reason.data)
