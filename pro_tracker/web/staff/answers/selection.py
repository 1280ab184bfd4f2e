"""Selects the responses of a visit that a form means, if they are still those that its page showed."""

from collections.abc import Sequence

from flask_babel import gettext as _

from pro_tracker.domain.errors import ChangedSince
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services.answer_corrections import correction_history
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.planning import subject_lock
from pro_tracker.web.session import db_session
from pro_tracker.web.staff.answers import visit_page
from pro_tracker.web.staff.answers.forms import ALL, WhichForm
from pro_tracker.web.staff.answers.visit_page import ShownVisit
from pro_tracker.web.staff.blueprint import local_moment


def as_shown(visit_id: int) -> dict[str, str]:
    """Returns the data of the hidden field with the ids of the visit's responses in effect."""
    return {"as_shown": _ids(list(visit_page.responses(visit_id).values()))}


def chosen(shown: ShownVisit, form: WhichForm) -> Sequence[QuestionnaireResponse]:
    """Returns the responses that the form means, under the subject's lock.

    Raises ChangedSince, and says who changed what, if the visit's responses are not those that the page showed. The
    form then carries those of now.
    """
    subject_lock.lock(db_session(), shown.subject)
    responses = visit_page.responses(shown.visit.id)
    now = _ids(list(responses.values()))
    before = form.as_shown.data
    if before not in (None, "", now):
        form.as_shown.data = now
        raise ChangedSince(_conflict_text(shown, str(before)))
    return list(responses.values()) if form.which.data == ALL else [responses[form.which.data]]


def _ids(responses: Sequence[QuestionnaireResponse]) -> str:
    return " ".join(str(response.id) for response in responses)


def _conflict_text(shown: ShownVisit, before: str) -> str:
    """Returns who corrected the visit's answers since these responses were shown."""
    corrections = correction_history.of_visit(db_session(), shown.visit)
    n_rows = len(before.split())
    found = []
    for each in corrections[: max(n_rows, 1)]:
        title = instrument_catalog.instrument(each.instrument_code).title
        at = local_moment(each.at, shown.subject.time_zone)
        found.append(f"{title}: {each.by or _('someone else')}, {at} ({each.reason})")
    facts = "; ".join(found)
    kept = _("Look at the answers again. What you entered is kept; send it once more to go on.")
    return str(_("These answers were corrected after you opened the page: %(facts)s.", facts=facts)) + f" {kept}"
