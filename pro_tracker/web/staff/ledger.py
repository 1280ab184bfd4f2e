"""The communication log of a subject ("Did we ask?"), as a page and as a CSV file."""

import io
import uuid

from flask import Response, make_response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.services import audit
from pro_tracker.services.record import identity_history, ledger, ledger_file
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import current, ledger_labels
from pro_tracker.web.staff.blueprint import blueprint, event_title
from pro_tracker.web.staff.current import Page


@blueprint.get("/subjects/<uuid:subject_id>/ledger", endpoint="ledger")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def show_ledger(subject_id: uuid.UUID) -> Page:
    subject = current.subject(subject_id)
    shown = ledger.ledger(db_session(), subject)
    events = {each.visit.label: event_title(each.visit, each.course) for each in shown.visits}
    former = identity_history.former_values(db_session(), subject_id)
    return current.show("staff/ledger.html", subject, ledger=shown, events=events, former=former, say=ledger_labels)


@blueprint.get("/subjects/<uuid:subject_id>/ledger.csv")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def download_ledger(subject_id: uuid.UUID) -> Response:
    """Sends the CSV file, whose columns docs/ledger-file.md describes; records the export in the audit trail."""
    subject = current.subject(subject_id)
    text = io.StringIO(newline="")
    ledger_file.write(ledger.ledger(db_session(), subject), text)
    audit.record(db_session(), access.actor(), "ledger.export", now=clock.now(), subject_id=subject.id)
    commit()
    response = make_response(text.getvalue())
    response.mimetype = "text/csv"
    response.headers["Content-Disposition"] = f'attachment; filename="ledger-{subject.study_code}.csv"'
    return response
