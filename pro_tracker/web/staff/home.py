"""The start page of each role, and the worklist ("Who needs me now?")."""

import uuid

from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.services import audit
from pro_tracker.services.calling.worklist import Worklist, worklist
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff.blueprint import blueprint

FIRST_PAGES = {
    Role.COORDINATOR: "staff.home",
    Role.CLINICIAN: "staff.home",
    Role.RESEARCHER: "research.results",
    Role.ADMINISTRATOR: "staff.accounts",
}


@blueprint.get("/")
@access.staff(Role.COORDINATOR, Role.CLINICIAN, Role.RESEARCHER, Role.ADMINISTRATOR, sites="none")
def start() -> Response:
    role = Role(access.account().role)
    return redirect(url_for(FIRST_PAGES[role]))


@blueprint.get("/worklist")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def home() -> str:
    now = clock.now()
    work = worklist(db_session(), access.account(), now=now)
    detail: audit.Detail = {"subjects": _count_subjects(work)}
    audit.record(db_session(), access.actor(), "worklist.view", now=now, detail=detail)
    commit()
    return render_template("staff/home.html", work=work, now=now)


def _count_subjects(work: Worklist) -> int:
    """Returns how many subjects the page shows; one can be in several sections."""
    shown: set[uuid.UUID] = set()
    sections = (
        *(work.calls, work.texts, work.visits, work.undated, work.messages, work.closed),
        *(work.consents, work.unconfirmed_deaths, work.same_numbers),
    )
    for section in sections:
        shown.update(row.Subject.id for row in section.rows)
    shown.update(each.subject.id for each in work.infusions.rows)
    return len(shown)
