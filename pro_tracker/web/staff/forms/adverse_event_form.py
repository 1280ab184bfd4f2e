"""The form of one adverse event: recorded on any day, or corrected."""

from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms.validators import DataRequired, InputRequired, Optional

from pro_tracker.domain.adverse_event_codes import AdverseEventSource
from pro_tracker.services.treatment.adverse_event_facts import AdverseEventFacts
from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import adverse_event_fields, fields


class AdverseEventForm(FlaskForm):  # type: ignore[misc]
    """An adverse event of any day. Nothing is chosen by itself; what is not known yet may be added later."""

    term = fields.text_field(_("What happened"), DataRequired(_("Say what the adverse event was.")))
    ctcae_grade = fields.radio_field(_("CTCAE grade"), _("Choose the CTCAE grade."))
    source = fields.radio_field(_("How did the clinic learn of it?"), _("Choose whether it was asked about."))
    found_on = DateInputField(
        _("Day on which the clinic learned of it"),
        [InputRequired(_("Enter the day on which the clinic learned of it."))],
    )
    started_on = DateInputField(_("Day on which it began"), [Optional()], description=_("Empty if it is not known."))
    started_at_local = fields.time_field(_("Time at which it began (optional)"), Optional())
    ended_on = DateInputField(_("Day on which it was over"), [Optional()], description=_("Empty if it is not."))
    emergency_response = fields.radio_field(
        _("Did someone have to respond at once (emergency)?"), _("Say whether someone had to respond at once.")
    )
    is_serious = adverse_event_fields.serious_field()
    outcome = adverse_event_fields.outcome_field()
    relatedness = adverse_event_fields.relatedness_field()
    action_taken = adverse_event_fields.action_field()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        offered = adverse_event_fields.choices()
        self.ctcae_grade.choices = offered["grade"][1:]
        self.emergency_response.choices = offered["emergency"][1:]
        self.source.choices = fields.choices(labels.ADVERSE_EVENT_SOURCES.items())
        self.is_serious.choices = offered["serious"]
        self.outcome.choices = offered["outcome"]
        self.relatedness.choices = offered["relatedness"]
        self.action_taken.choices = offered["action"]

    def facts(self) -> AdverseEventFacts:
        """Returns the entries as the service takes them."""
        parts = {
            "grade": self.ctcae_grade,
            "emergency": self.emergency_response,
            "action": self.action_taken,
            "outcome": self.outcome,
            "relatedness": self.relatedness,
            "serious": self.is_serious,
        }
        return AdverseEventFacts(
            term=self.term.data,
            source=AdverseEventSource(self.source.data),
            found_on=self.found_on.data,
            started_on=self.started_on.data,
            started_at_local=self.started_at_local.data,
            ended_on=self.ended_on.data,
            **adverse_event_fields.coded(parts),
        )


class AdverseEventCorrectionForm(AdverseEventForm):
    """The correction of an adverse event."""

    reason = fields.text_field(
        _("Why is it corrected?"), DataRequired(_("Say why the adverse event is corrected, such as: outcome known."))
    )


def as_recorded(facts: AdverseEventFacts) -> dict[str, Any]:
    """Returns recorded facts as data of the form, by field name."""
    entered = adverse_event_fields.as_entered(facts)
    names = {"emergency": "emergency_response", "serious": "is_serious", "action": "action_taken"}
    names |= {"grade": "ctcae_grade", "started": "started_at_local"}
    data = {names.get(part, part): value for part, value in entered.items()}
    dates = {"found_on": facts.found_on, "started_on": facts.started_on, "ended_on": facts.ended_on}
    return {**data, **dates, "source": facts.source}
