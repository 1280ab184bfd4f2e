"""The form in which a caller notes an attempt."""

from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField, TextAreaField
from wtforms.validators import Length, Optional

from pro_tracker.domain.call_codes import CallReason
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class CallForm(FlaskForm):  # type: ignore[misc]
    """What came of a call, by its reason. `number`: which attempt it is, lest one by somebody else be overlooked."""

    number = HiddenField()
    outcome = fields.radio_field(_("How did the call go?"), _("Choose what came of the call."))
    call_back_on = DateInputField(
        _("Call again on"), [Optional()], description=_("Empty: in a few days after nobody answered, else not again.")
    )
    best_time = fields.select_field(
        _("Best time to call"), description=_("By the patient's own clock."), validate_choice=False
    )
    note = TextAreaField(
        _("Note for whoever calls next"),
        [Length(max=500, message=_("This is longer than 500 characters."))],
        description=_("Stored encrypted. What the patient answered belongs into the questions, not here."),
    )

    def __init__(self, reason: CallReason, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        outcomes = labels.ALERT_OUTCOMES if reason == CallReason.ALERT else labels.CALL_OUTCOMES
        self.outcome.choices = fields.choices(outcomes.items())
        self.best_time.choices = fields.choices([("", _("Not known")), *labels.CALL_TIMES.items()])

    def facts(self) -> CallAttemptFacts:
        """The attempt as the service takes it."""
        number = str(self.number.data or "")
        return CallAttemptFacts(
            outcome=self.outcome.data,
            note=self.note.data or "",
            call_back_on=self.call_back_on.data,
            best_time=self.best_time.data or None,
            number=int(number) if number.isdecimal() else None,
        )
