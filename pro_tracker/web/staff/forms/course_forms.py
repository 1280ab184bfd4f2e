"""The short forms of staff pages: withdrawal, pause, course, account."""

from collections.abc import Iterable
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField
from wtforms.validators import DataRequired, InputRequired, Optional

from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class RevertReasonForm(FlaskForm):  # type: ignore[misc]
    """Taking back what was entered by mistake."""

    reason = fields.text_field(_("Why is it taken back?"), DataRequired(_("Say why it is taken back.")))


class RemovalForm(FlaskForm):  # type: ignore[misc]
    reason = fields.text_field(_("Why is it removed?"), DataRequired(_("Say why it is removed.")))


class AnchorDateForm(FlaskForm):  # type: ignore[misc]
    """The date of an event that hangs on no other."""

    event_code = fields.select_field(_("Questions"))
    anchor_on = DateInputField(_("Date they count from"), [Optional()], description=_("Empty to take the date away."))
    reason = fields.text_field(_("Where does this date come from?"), DataRequired(_("Say where this date comes from.")))

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
    planned_infusions = fields.integer_field(
        _("Planned number of infusions"), InputRequired(_("Enter how many infusions are planned."))
    )


class CourseEndForm(FlaskForm):  # type: ignore[misc]
    ended_on = DateInputField(_("Last day of the course"), [InputRequired(_("Enter the last day of the course."))])
    reason = fields.text_field(_("Why does it end here?"), DataRequired(_("Say why the course ends.")))
