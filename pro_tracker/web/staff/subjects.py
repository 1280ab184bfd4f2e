"""The list of patients, and the page of one patient: open tasks, trend, visits, messages and treatment."""

import uuid
from collections.abc import Iterable
from datetime import datetime

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.consent import ConsentChoice
from pro_tracker.domain.visit_windows import VisitStatus, visit_status
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.answer_corrections import acknowledgements
from pro_tracker.services.answering import goals
from pro_tracker.services.enrolment import consent_states
from pro_tracker.services.enrolment.consent_states import KnownConsent
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.record import (
    consents_of_list,
    reported_effects,
    subject_lists,
    subject_records,
    transferred_subjects,
    trends,
)
from pro_tracker.services.record.subject_lists import SubjectFilters
from pro_tracker.services.record.subject_records import SubjectRecord
from pro_tracker.services.record.trends import ScaleTrend, Trend
from pro_tracker.services.treatment import liver_tests
from pro_tracker.web import access, labels
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import chart, current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.chart import Chart
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.fields import one_line

MAX_SEARCH_LENGTH = 200


@blueprint.get("/subjects")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def subjects() -> str:
    number = request.args.get("page", 1, type=int)
    consent = request.args.get("consent", type=ConsentChoice)
    return _list_page(SubjectFilters(consent=consent, number=number))


@blueprint.post("/subjects")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def search() -> str | Response:
    """Searches by POST, so that no record number is part of a URL, which browsers and proxies store."""
    entered = one_line(request.form.get("search"))
    filters = SubjectFilters(entered[:MAX_SEARCH_LENGTH])
    found = subject_lists.page(db_session(), access.account(), filters, now=clock.now())
    if filters.search and found.total == 1:
        subject_id = found.subjects[0].id
        return redirect(url_for("staff.subject", subject_id=subject_id), 303)
    return _list_page(filters)


@blueprint.get("/subjects/<uuid:subject_id>")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def subject(subject_id: uuid.UUID) -> Page:
    session = db_session()
    now = clock.now()
    record = subject_records.load(session, access.account(), subject_id)
    return current.show(
        "staff/subject.html",
        record.subject,
        record=record,
        charts=_charts(record, now),
        states=state_labels(record.visits, now),
        goals=goals.of_person(session, record.subject.id),
        goal_visit=_goal_visit(record),
        looked_at=acknowledgements.of_person(session, record.subject.id),
        liver_tests_due=_liver_tests_due(record, now),
        consent=_consent(record),
        effects=reported_effects.of_visits(session, record.subject.id, record.visits, now=now),
    )


def _consent(record: SubjectRecord) -> KnownConsent:
    newest = record.courses[-1] if record.courses else None
    return consent_states.summary(db_session(), record.subject, newest)


def _charts(record: SubjectRecord, now: datetime) -> list[tuple[ScaleTrend, Chart]]:
    trend = trends.subject_trend(
        db_session(),
        record.subject,
        record.courses,
        record.visits,
    )
    missed = {visit.id for visit in record.visits if visit_status(visit, now) is VisitStatus.MISSED}
    return charts(trend, missed)


def _goal_visit(record: SubjectRecord) -> Visit | None:
    """Returns the newest answered visit whose protocol asks for a goal; None for who takes no part."""
    if not record.subject.takes_part:
        return None
    for visit in reversed(record.visits):
        if visit.completed_at is not None and protocol_catalog.bound_to(visit).for_patients.goal:
            return visit
    return None


def _liver_tests_due(record: SubjectRecord, now: datetime) -> bool:
    """Returns whether staff are reminded of the liver tests of the newest course."""
    if not record.subject.takes_part:
        return False
    today = local_date(now, record.subject.site.time_zone)
    return liver_tests.day_to_remind_of(record.courses, today) is not None


def charts(trend: Trend | None, missed: set[int]) -> list[tuple[ScaleTrend, Chart]]:
    """Returns the chart of each scale; `missed` holds the ids of missed visits."""
    if trend is None:
        return []
    return [(scale_trend, chart.draw(trend, scale_trend, missed=missed)) for scale_trend in trend.scales]


def state_labels(visits: Iterable[Visit], now: datetime) -> dict[int, str]:
    """Returns the label of each visit's status, by visit id."""
    return {visit.id: labels.visit_state(visit, now)[0] for visit in visits}


def _list_page(filters: SubjectFilters) -> str:
    session, account, now = db_session(), access.account(), clock.now()
    found = subject_lists.page(session, account, filters, now=now)
    detail: audit.Detail = {"subjects": len(found.subjects)}
    audit.record(session, access.actor(), "subjects.list", now=now, detail=detail)
    commit()
    return render_template(
        "staff/subjects.html",
        found=found,
        filters=filters,
        consents=consents_of_list.of_people(session, found.subjects),
        n_of_consent={} if filters.search else consents_of_list.counts(session, account),
        now=now,
        transferred=transferred_subjects.count(session, account),
    )
