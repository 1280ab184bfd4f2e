"""Pages that record an adverse event of any day, correct it, and void one that was entered in error."""

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _

from pro_tracker.models.course import AdverseEvent
from pro_tracker.services.treatment import adverse_event_facts, adverse_events
from pro_tracker.web.staff.forms.adverse_event_form import (
    AdverseEventCorrectionForm,
    AdverseEventForm,
    as_recorded,
)
from pro_tracker.web.staff.forms.void_form import RowVoidForm
from pro_tracker.web.staff.row_pages import RowForms, RowPages, RowTexts


def _recorded(event: AdverseEvent) -> Mapping[str, Any]:
    return as_recorded(adverse_event_facts.facts_of(event))


RowPages(
    rows=adverse_events,
    name="adverse_event",
    section="adverse-events",
    id_name="event_id",
    day="found_on",
    forms=RowForms(AdverseEventForm, AdverseEventCorrectionForm, RowVoidForm, _recorded),
    texts=RowTexts(
        recorded=_("The adverse event is recorded."),
        corrected=_("The adverse event is corrected."),
        voided=_("The adverse event is marked as entered in error."),
        gone=_("This adverse event was entered in error. The patient's page says when and why."),
    ),
    voiding=("adverse-event.correct", "adverse-event.void", "infusion.correct", "infusion.remove"),
).register()
