"""A patient's own results, on the page after sending and, at later visits, on a page of their own."""

from datetime import datetime
from typing import Any

from flask import render_template

from pro_tracker import clock
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.record import own_results
from pro_tracker.services.record.own_results import OwnResult
from pro_tracker.web import access
from pro_tracker.web.answering import Page, next_page_url
from pro_tracker.web.patient import current, goals, own_chart, result_wording
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.own_chart import OwnChart
from pro_tracker.web.session import commit, db_session


@blueprint.get("/visit/<visit>/results")
@access.patient
def results() -> Page:
    """Shows the results so far, before or between the questions of a later visit."""
    now = clock.now()
    visit = current.confirmed_visit(now)
    subject = db_session().get_one(Subject, visit.person_id)
    return render_template(
        "patient/results.html",
        visit=visit,
        onward=next_page_url(visit) if visit.completed_at is None else None,
        **shown(visit, subject, now),
    )


def shown(visit: VisitContext, subject: Subject, now: datetime) -> dict[str, Any]:
    """Returns what both pages show of the results, after recording the view of them."""
    found = own_results.of_person(db_session(), subject, visit.protocol, visit.language)
    goal = goals.section(visit, subject)
    if found or "goal" in goal:
        _record_view(visit, subject, now)
    with_charts = [(result, _chart(result)) for result in found]
    return {
        "results": with_charts,
        "wording": result_wording,
        "chart": own_chart,
        **goal,
        "looked_at": own_results.looked_at(db_session(), subject, visit.protocol, visit.language),
    }


def _record_view(visit: VisitContext, subject: Subject, now: datetime) -> None:
    detail: audit.Detail = {"visit": visit.visit_id}
    audit.record(
        db_session(),
        Actor(ActorKind.PATIENT, str(visit.link_id)),
        "results.view",
        now=now,
        subject_id=subject.id,
        detail=detail,
    )
    commit()


def _chart(result: OwnResult) -> OwnChart | None:
    if not result.series.scored:
        return None
    return own_chart.draw(result)
