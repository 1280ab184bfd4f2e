"""The forms of the course page, and the short forms that revert or remove an entry."""

from collections.abc import Iterable
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField
from wtforms.validators import DataRequired, InputRequired, Optional

from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class RevertReasonForm(FlaskForm):  # type: ignore[misc]
    """Asks why an entry made in error is reverted."""

    reason = fields.text_field(_("Why is it reverted?"), DataRequired(_("Say why it is reverted.")))


class RemovalForm(FlaskForm):  # type: ignore[misc]
    reason = fields.text_field(_("Why is it removed?"), DataRequired(_("Say why it is removed.")))


class AnchorDateForm(FlaskForm):  # type: ignore[misc]
    """A staff-entered date, for a study event that is anchored to no other date."""

    as_shown = HiddenField()
    event_code = fields.select_field(_("Questions"))
    anchor_on = DateInputField(_("Date they count from"), [Optional()], description=_("Empty to take the date away."))
    reason = fields.text_field(_("Where does this date come from?"), DataRequired(_("Say where this date comes from.")))

    def __init__(self, events: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event_code.choices = fields.choices(events)


class PlanForm(FlaskForm):  # type: ignore[misc]
    """The plan of the current course or of a new one."""

    as_shown = HiddenField()
    planned_start_on = DateInputField(
        _("Planned date of the first infusion"),
        [Optional()],
        description=_("Empty if there is no date yet. The first questions are asked in the days before it."),
    )
    planned_infusions = fields.integer_field(
        _("Planned number of infusions"), InputRequired(_("Enter how many infusions are planned."))
    )


class ProtocolMoveForm(FlaskForm):  # type: ignore[misc]
    """Moves the course to another protocol, or to another version of its own."""

    as_shown = HiddenField()
    protocol = fields.radio_field(_("Move to"), _("Choose the study and the version."))
    reason = fields.text_field(_("Why does the course move?"), DataRequired(_("Say why the course moves.")))

    def __init__(self, protocols: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protocol.choices = fields.choices(protocols)


class CourseEndForm(FlaskForm):  # type: ignore[misc]
    as_shown = HiddenField()
    ended_on = DateInputField(_("Last day of the course"), [InputRequired(_("Enter the last day of the course."))])
    reason = fields.text_field(_("Why does it end here?"), DataRequired(_("Say why the course ends.")))
