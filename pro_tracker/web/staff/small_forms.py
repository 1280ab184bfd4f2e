"""The short forms of staff pages: withdrawal, course, account."""

from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectMultipleField
from wtforms.validators import DataRequired, InputRequired, Optional

from pro_tracker.models.site import Site
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff import fields, words


class WithdrawalForm(FlaskForm):  # type: ignore[misc]
    reason = fields.line(_("Why does the patient withdraw?"), DataRequired(_("Say why the patient withdraws.")))


class PlanForm(FlaskForm):  # type: ignore[misc]
    """The plan of a course, of the current one or of a new one."""

    planned_start_on = DateInputField(
        _("Planned date of the first infusion"),
        [Optional()],
        description=_("Empty if there is no date yet. The first questions are asked in the days before it."),
    )
    planned_infusions = fields.whole_number(
        _("Planned number of infusions"), InputRequired(_("Enter how many infusions are planned."))
    )


class CourseEndForm(FlaskForm):  # type: ignore[misc]
    ended_on = DateInputField(_("Last day of the course"), [InputRequired(_("Enter the last day of the course."))])
    reason = fields.line(_("Why does it end here?"), DataRequired(_("Say why the course ends.")))


class AccountForm(FlaskForm):  # type: ignore[misc]
    email = fields.line(
        _("E-mail address"), DataRequired(_("Enter the e-mail address.")), description=_("The person signs in with it.")
    )
    display_name = fields.line(_("Name"), DataRequired(_("Enter the name.")))
    role = fields.one_of(_("Role"), _("Choose the role."))
    site_codes = SelectMultipleField(
        _("Clinics"), description=_("Whose patients the account may see. An administrator sees none and needs none.")
    )
    password = PasswordField(
        _("Password"),
        [InputRequired(_("Enter a password."))],
        description=_("At least 15 characters; several words in a row make a good one."),
    )

    def __init__(self, sites: list[Site], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.role.choices = fields.choices(words.ROLES.items())
        self.site_codes.choices = fields.choices((site.code, site.name) for site in sites)
