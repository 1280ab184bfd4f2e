"""The form that asks, after a refusal or an illness, what it ends."""

from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms.validators import Optional

from pro_tracker.domain.endings import EXTENTS, EndingExtent
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.services.enrolment.endings import EndingFacts
from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class EndingForm(FlaskForm):  # type: ignore[misc]
    """`until_on` is offered where a pause is possible. The service requires a reason for all but one visit."""

    extent = fields.radio_field(_("What does it end?"), _("Choose what it ends."))
    until_on = DateInputField(
        _("Last day of the pause"),
        [Optional()],
        description=_("Only for a pause, which begins today. Empty while its end is not known."),
    )
    reason = fields.text_field(
        _("Why does more than these questions end?"), description=_("In a few words. Empty for these questions only.")
    )

    def __init__(self, reason: UnansweredReason, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        offered = EXTENTS[reason]
        self.extent.choices = fields.choices((extent, labels.ENDING_EXTENTS[extent]) for extent in offered)
        self.offers_pause = EndingExtent.PAUSE in offered
        if not self.offers_pause:
            del self.until_on

    def facts(self) -> EndingFacts:
        """Returns the entries as the service takes them."""
        until_on = self.until_on.data if self.offers_pause else None
        return EndingFacts(EndingExtent(self.extent.data), until_on, self.reason.data)
