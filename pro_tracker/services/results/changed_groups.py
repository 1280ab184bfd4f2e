"""Finds the groups of figures that an event since a given moment may have changed.

Rather too many than too few: a group that did not change is computed again with the same result.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select
from sqlalchemy.orm import Session

from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.correction import Correction
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.merge import Merge
from pro_tracker.models.protocol_event import ProtocolEvent
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic.person import RECORD, with_person

# Corrections that change figures without an event of a visit.
CORRECTIONS = (CorrectionKind.WITHDRAWAL, CorrectionKind.DEATH, CorrectionKind.RESPONSE)
AnySelect = Select[*tuple[Any, ...]]


class AggregateGroup(NamedTuple):
    """One study event of one protocol at one site."""

    protocol_code: str
    site_code: str
    event_code: str

    @property
    def cohort(self) -> tuple[str, str]:
        """Protocol and site code: the subjects whose baseline and later events belong together."""
        return self.protocol_code, self.site_code


class Changed(NamedTuple):
    """The groups that changed, and the cohorts in which a baseline did."""

    groups: set[AggregateGroup]
    baselines: set[tuple[str, str]]


def since(session: Session, moment: datetime, now: datetime) -> Changed:
    """Returns what an event since then may have changed: of a visit, a response, a person, or of time alone."""
    changed = Changed(set(), set())
    visits = _of_visits().where(or_(_visit_changed(moment, now), _person_changed(moment)))
    events = _of_protocols().where(or_(_person_changed(moment), _treatment_changed(moment)))
    for rows in (visits, events):
        for *key, number in session.execute(rows):
            group = AggregateGroup(*key)
            changed.groups.add(group)
            if number == 1:
                changed.baselines.add(group.cohort)
    return changed


def every(session: Session) -> set[AggregateGroup]:
    """Returns the groups of all visits, and of all events of the courses' protocols."""
    found = [*session.execute(_of_visits()), *session.execute(_of_protocols())]
    return {AggregateGroup(*key) for *key, _number in found}


def _of_visits() -> AnySelect:
    """SQL: the groups of visits, each with the number of its event."""
    groups = select(Visit.protocol_code, Site.code, Visit.event_code, Visit.visit_number).distinct()
    groups = groups.select_from(Visit).join(Course, Course.id == Visit.course_id)
    return with_person(groups, Visit.subject_id).join(Site, Site.id == Course.site_id)


def _of_protocols() -> AnySelect:
    """SQL: the groups of the events of courses, whether a visit was planned or not; each with its number."""
    of_course = and_(
        ProtocolEvent.protocol_code == Course.protocol_code,
        ProtocolEvent.protocol_version == Course.protocol_version,
    )
    groups = select(Course.protocol_code, Site.code, ProtocolEvent.event_code, ProtocolEvent.number).distinct()
    groups = groups.select_from(Course).join(ProtocolEvent, of_course)
    return with_person(groups, Course.subject_id).join(Site, Site.id == Course.site_id)


def _visit_changed(moment: datetime, now: datetime) -> ColumnElement[bool]:
    """SQL: the visit was answered, ended or planned since then, or its window or grace period began or ended."""
    stored = (Visit.completed_at, Visit.stopped_at, Visit.voided_at, Visit.planned_at, Visit.replanned_at)
    happened = [at >= moment for at in stored]
    passed = [at.between(moment, now) for at in (Visit.opens_at, Visit.closes_at, Visit.grace_until)]
    edited = exists().where(
        QuestionnaireResponse.visit_id == Visit.id,
        QuestionnaireResponse.edited_at >= moment,
    )
    return or_(edited, *happened, *passed)


def _person_changed(moment: datetime) -> ColumnElement[bool]:
    """SQL: a withdrawal, death, merge, consent or correction of the person was recorded or reverted since then."""
    # A reverted withdrawal or death; answers that were voided, or moved away. Those moved here are edited, as are
    # amended ones.
    corrected = exists().where(
        Correction.subject_id.in_([RECORD.id, Subject.id]),
        Correction.what.in_(CORRECTIONS),
        Correction.recorded_at >= moment,
    )
    of_records = or_(*(each.in_([RECORD.id, Subject.id]) for each in (Merge.subject_id, Merge.into_id)))
    merged = exists().where(
        of_records,
        or_(
            Merge.recorded_at >= moment,
            Merge.separated_at >= moment,
        ),
    )
    # An answer to a consent form, or its removal, decides whether the answers of the person are counted.
    consented = exists().where(
        ConsentDecision.subject_id.in_([RECORD.id, Subject.id]),
        or_(
            ConsentDecision.recorded_at >= moment,
            ConsentDecision.voided_at >= moment,
        ),
    )
    return or_(Subject.withdrawn_at >= moment, Subject.death_recorded_at >= moment, corrected, merged, consented)


def _treatment_changed(moment: datetime) -> ColumnElement[bool]:
    """SQL: an infusion was recorded or removed: of who left, that says whether follow-ups were to be expected."""
    has_left = or_(Subject.withdrawn_at.is_not(None), Subject.death_recorded_at.is_not(None))
    changed = exists().where(
        Infusion.course_id == Course.id,
        or_(
            Infusion.recorded_at >= moment,
            Infusion.voided_at >= moment,
        ),
    )
    return and_(has_left, changed)
