"""The short forms of staff pages: withdrawal, pause, course, account."""

from collections.abc import Iterable
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, SelectMultipleField
from wtforms.validators import DataRequired, InputRequired, Optional

from pro_tracker.models.site import Site
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff import fields, words


class WithdrawalForm(FlaskForm):  # type: ignore[misc]
    scope = fields.one_of(_("What does the patient want?"), _("Choose what the patient wants."))
    reason = fields.line(_("Why does the patient withdraw?"), DataRequired(_("Say why the patient withdraws.")))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scope.choices = fields.choices(words.WITHDRAWAL_SCOPES.items())


class ReasonForm(FlaskForm):  # type: ignore[misc]
    """Taking back what was entered by mistake."""

    reason = fields.line(_("Why is it taken back?"), DataRequired(_("Say why it is taken back.")))


class RemovalForm(FlaskForm):  # type: ignore[misc]
    reason = fields.line(_("Why is it removed?"), DataRequired(_("Say why it is removed.")))


class PauseForm(FlaskForm):  # type: ignore[misc]
    from_on = DateInputField(_("First day of the pause"), [InputRequired(_("Enter the first day."))])
    until_on = DateInputField(
        _("Last day of the pause"), [Optional()], description=_("Empty while the end is not known.")
    )
    reason = fields.line(
        _("Why is nothing to be asked?"),
        DataRequired(_("Say why nothing is to be asked.")),
        description=_("Such as: hospital stay."),
    )


class PauseEndForm(FlaskForm):  # type: ignore[misc]
    until_on = DateInputField(_("Last day of the pause"), [Optional()], description=_("Empty while it is not known."))
    reason = fields.line(_("Why does this day change?"), DataRequired(_("Say why the last day changes.")))


class DateSetForm(FlaskForm):  # type: ignore[misc]
    """The date of an event that hangs on no other."""

    event_code = fields.pick(_("Questions"))
    anchor_on = DateInputField(_("Date they count from"), [Optional()], description=_("Empty to take the date away."))
    reason = fields.line(_("Where does this date come from?"), DataRequired(_("Say where this date comes from.")))

    def __init__(self, events: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event_code.choices = fields.choices(events)


class PlanForm(FlaskForm):  # type: ignore[misc]
    """The plan of a course, of the current one or of a new one."""

    as_shown = HiddenField()
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
