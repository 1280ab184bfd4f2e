"""The form with which staff record a call attempt."""

import re
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

ATTEMPT_NUMBER = re.compile("[0-9]{1,9}")  # Python refuses to read more than 4,300 digits


class CallForm(FlaskForm):  # type: ignore[misc]
    """Outcome, next call and note of one attempt; the outcomes depend on the reason of the call.

    `number` is the number of the attempt, by which the service detects an attempt that another account recorded first.
    """

    number = HiddenField()
    outcome = fields.radio_field(_("How did the call go?"), _("Choose the outcome of the call."))
    call_back_on = DateInputField(
        _("Call again on"), [Optional()], description=_("Empty: in a few days after nobody answered, else not again.")
    )
    best_time = fields.select_field(
        _("Best time to call"), description=_("By the patient's own clock."), validate_choice=False
    )
    alert_outcome = fields.radio_field(
        _("What came of it?"),
        _("Choose what came of it."),
        description=_("Needed once you have spoken with the patient; that closes the alert."),
        validate_choice=False,
    )
    done = TextAreaField(
        _("What was done?"),
        [Length(max=500, message=_("This is longer than 500 characters."))],
        description=_("Needed once you have spoken with the patient. Stored encrypted."),
    )
    note = TextAreaField(
        _("Note for whoever calls next"),
        [Length(max=500, message=_("This is longer than 500 characters."))],
        description=_("Stored encrypted. What the patient answered belongs into the questions, not here."),
    )

    def __init__(self, reason: CallReason, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_alert = reason == CallReason.ALERT
        # After an alert the call stays open until the patient is reached, so that no other outcome ends it.
        outcomes = labels.ALERT_CALL_OUTCOMES if self.is_alert else labels.CALL_OUTCOMES
        self.outcome.choices = fields.choices(outcomes.items())
        self.alert_outcome.choices = fields.choices(labels.ALERT_OUTCOMES.items())
        if not self.is_alert:
            del self.alert_outcome, self.done
        unknown = ("", _("Not known"))
        self.best_time.choices = fields.choices([unknown, *labels.CALL_TIMES.items()])

    def facts(self) -> CallAttemptFacts:
        """Returns the entries as the service takes them."""
        number = str(self.number.data or "")
        return CallAttemptFacts(
            outcome=self.outcome.data,
            note=self.note.data or "",
            call_back_on=self.call_back_on.data,
            best_time=self.best_time.data or None,
            number=int(number) if ATTEMPT_NUMBER.fullmatch(number) else None,
            alert_outcome=(self.alert_outcome.data or "") if self.is_alert else "",
            done=(self.done.data or "") if self.is_alert else "",
        )
