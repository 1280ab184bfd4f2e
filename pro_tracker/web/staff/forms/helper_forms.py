"""The forms of the page about the helper whom a patient trusts. The rules are in services/contacts."""

from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField
from wtforms.validators import InputRequired

from pro_tracker.services.contacts.trusted_helper import HelperFacts
from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class HelperForm(FlaskForm):  # type: ignore[misc]
    """The fields of HelperFacts, under the same names."""

    as_shown = HiddenField()
    relation = fields.text_field(
        _("Who is it?"),
        InputRequired(_("Say who it is, such as: daughter.")),
        description=_("In a few words, such as: daughter. Only staff read this."),
    )
    email = fields.text_field(_("E-mail address of the helper"), InputRequired(_("Enter the helper's e-mail address.")))
    agreed_on = DateInputField(
        _("On which day did the patient agree?"),
        [InputRequired(_("Enter the day on which the patient agreed."))],
        description=_("To this person being reminded by e-mail. Ask the patient first, and enter it afterwards."),
    )

    def facts(self) -> HelperFacts:
        """Returns the entries as the service takes them."""
        return HelperFacts(email=self.email.data, relation=self.relation.data, agreed_on=self.agreed_on.data)


class RemoveHelperForm(FlaskForm):  # type: ignore[misc]
    reason = fields.radio_field(_("Why is nobody reminded any more?"), _("Choose why."))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason.choices = fields.choices(labels.HELPER_ENDINGS.items())
