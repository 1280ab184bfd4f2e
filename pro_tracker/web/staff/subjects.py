"""The list of patients, and one patient's page: what matters now, the trend, visits and messages, treatment."""

import uuid

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.visit_windows import VisitStatus, visit_status
from pro_tracker.services import audit
from pro_tracker.services.record import subject_lists, subject_records, trends
from pro_tracker.web import access, labels
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import chart, current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.fields import one_line

LONGEST_SEARCH = 200


@blueprint.get("/subjects")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def subjects() -> str:
    return _list_page("", request.args.get("page", 1, type=int))


@blueprint.post("/subjects")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def search() -> str | Response:
    """A record number never stands in an address: browsers and proxies remember those."""
    search_text = one_line(request.form.get("search"))[:LONGEST_SEARCH]
    found = subject_lists.page(db_session(), access.account(), search=search_text, now=clock.now())
    if search_text and found.total == 1:
        return redirect(url_for("staff.subject", subject_id=found.subjects[0].id), 303)
    return _list_page(search_text, 1)


@blueprint.get("/subjects/<uuid:subject_id>")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def subject(subject_id: uuid.UUID) -> Page:
    session, now = db_session(), clock.now()
    record = subject_records.load(session, access.account(), subject_id)
    trend = trends.subject_trend(session, record.subject, record.courses, record.visits)
    missed = {visit.id for visit in record.visits if visit_status(visit, now) is VisitStatus.MISSED}
    charts = [(each, chart.draw(trend, each, missed=missed)) for each in trend.scales] if trend else []
    states = {visit.id: labels.visit_state(visit, now)[0] for visit in record.visits}
    return current.show("staff/subject.html", record.subject, record=record, charts=charts, states=states)


def _list_page(search_text: str, number: int) -> str:
    now = clock.now()
    found = subject_lists.page(db_session(), access.account(), search=search_text, number=number, now=now)
    audit.record(db_session(), access.actor(), "subjects.list", now=now, detail={"subjects": len(found.subjects)})
    commit()
    return render_template("staff/subjects.html", found=found, search=search_text, now=now)
