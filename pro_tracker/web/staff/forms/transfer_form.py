"""The form that transfers a patient to another clinic. The rules are in services/enrolment."""

from collections.abc import Iterable
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField
from wtforms.validators import DataRequired, InputRequired

from pro_tracker.models.site import Site
from pro_tracker.services.enrolment.transfers import TransferFacts
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class TransferForm(FlaskForm):  # type: ignore[misc]
    """The clinic that the patient goes to, since when, and why."""

    as_shown = HiddenField()
    site_code = fields.radio_field(_("To which clinic?"), _("Choose the clinic that the patient goes to."))
    transferred_on = DateInputField(_("Day of the transfer"), [InputRequired(_("Enter the day of the transfer."))])
    reason = fields.text_field(
        _("Why does the patient go there?"),
        DataRequired(_("Say why the patient goes to another clinic.")),
        description=_("The other clinic reads it, too. Name nobody in it."),
    )

    def __init__(self, sites: Iterable[Site], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        by_code = [(site.code, site.name) for site in sites]
        self.site_code.choices = fields.choices(by_code)

    def facts(self) -> TransferFacts:
        """Returns the entries as the service takes them."""
        return TransferFacts(
            self.site_code.data,
            self.transferred_on.data,
            self.reason.data,
        )
