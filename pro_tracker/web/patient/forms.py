"""The one form of the patient's path with more than one control: the birth date."""

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms.validators import InputRequired

from pro_tracker.web.fields import DateInputField


class BirthDateForm(FlaskForm):  # type: ignore[misc]
    """Asks for the second fact that guards drafts and earlier answers."""

    birth_date = DateInputField(
        _("What is your date of birth?"), [InputRequired(_("Enter your date of birth."))], autocomplete="bday"
    )
