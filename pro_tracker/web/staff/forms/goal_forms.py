"""The forms of a patient's own goal: entered by telephone, and corrected with a reason."""

import re
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField
from wtforms.validators import DataRequired

from pro_tracker.domain.goal_attainment import Attainment
from pro_tracker.web import labels
from pro_tracker.web.staff.forms import fields

SHOWN = re.compile(r"[0-9]{1,4}")  # a number of words
STEPS = {str(int(step)): words for step, words in labels.GOAL_STEPS.items()}


class GoalEntryForm(FlaskForm):  # type: ignore[misc]
    """The rating of the present goal, a new goal, or both, as an interviewer enters them. Neither is required."""

    attainment = fields.optional_radio_field(
        _("Compared with what the patient expected, how is it going with the goal?"), STEPS
    )
    text = fields.text_field(_("New goal, in the patient's words"), description=_("Empty: the goal stays as it is."))

    def __init__(self, *, can_be_rated: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if can_be_rated:
            self.attainment.choices = fields.choices(STEPS.items())
        else:
            del self.attainment

    @property
    def rating(self) -> Attainment | None:
        """The chosen step; None where none was chosen."""
        chosen = self.attainment.data if self.attainment else None
        return Attainment(int(chosen)) if chosen else None

    def validate(self, **kwargs: Any) -> bool:
        valid = bool(super().validate(**kwargs))
        if valid and self.rating is None and not self.text.data:
            self.form_errors.append(_("Enter a rating or a goal, or go back to the patient: neither is required."))
            return False
        return valid


class GoalCorrectionForm(FlaskForm):  # type: ignore[misc]
    """The words of a goal as they should be."""

    as_shown = HiddenField()  # number of the words that the form was filled with
    text = fields.text_field(_("The goal in the patient's words"), DataRequired(_("Write the goal.")))
    reason = fields.text_field(_("Why is it corrected?"), DataRequired(_("Say why this is corrected.")))

    @property
    def shown_number(self) -> int:
        """The number in `as_shown`; 0 for what is none."""
        entered = self.as_shown.data or ""
        return int(entered) if SHOWN.fullmatch(entered) else 0


class GoalRatingCorrectionForm(FlaskForm):  # type: ignore[misc]
    """A rating as it should be."""

    attainment = fields.radio_field(
        _("Compared with what the patient expected, how was it going?"), _("Choose one of the steps.")
    )
    reason = fields.text_field(_("Why is it corrected?"), DataRequired(_("Say why this is corrected.")))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attainment.choices = fields.choices(STEPS.items())
