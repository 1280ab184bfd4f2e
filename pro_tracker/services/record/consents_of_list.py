"""The state of consent of each person of the list, and the states that the list can be limited to.

A person has one where the protocol of the newest course names a consent form, and no death is recorded.
"""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, case, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from pro_tracker.domain.consent import ConsentChoice, ConsentOutcome, ConsentState
from pro_tracker.domain.errors import NotFound
from pro_tracker.models.account import Account
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.course import COUNTS, Course, Infusion
from pro_tracker.models.protocol_event import ProtocolConsent
from pro_tracker.models.subject import Subject
from pro_tracker.services import consent_filters
from pro_tracker.services.clinic import visibility
from pro_tracker.services.clinic.person import is_kept
from pro_tracker.services.wording import consent_forms

UNDATED = date.max  # a course without a day comes last


def of_people(session: Session, subjects: Sequence[Subject]) -> Mapping[uuid.UUID, ConsentState]:
    """Returns the state of each of these people who has one, by the id of the kept record. At most two statements."""
    rows = _rows(session, Subject.id.in_([subject.id for subject in subjects]))
    if rows is None:
        return {}
    return {found.person_id: ConsentState(found.state) for found in session.execute(rows)}


def counts(session: Session, account: Account) -> Mapping[ConsentChoice, int]:
    """Returns how many people that this account may see each choice finds; {} where none of them has a consent form."""
    rows = _rows(session)
    if rows is None:
        return {}
    states = visibility.visible(rows, account).subquery()
    counted = select(states.c.state, func.count()).group_by(states.c.state)
    found = {ConsentState(state): n for state, n in session.execute(counted)}
    if not found:
        return {}
    return {choice: sum(found.get(state, 0) for state in choice.states) for choice in ConsentChoice}


def is_in(session: Session, choice: ConsentChoice) -> ColumnElement[bool]:
    """SQL over Subject, as a kept record: the state of the person is one of this choice."""
    rows = _rows(session)
    if rows is None:
        return Subject.id.is_(None)  # no protocol has a form, so no person has a state
    states = rows.subquery()
    return Subject.id.in_(select(states.c.person_id).where(states.c.state.in_(choice.states)))


def _rows(session: Session, *conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]] | None:
    """SQL: person_id and state of each kept record with a consent form; None where no protocol has one."""
    in_effect = _versions_in_effect(session)
    if not in_effect:
        return None
    form_code = _form_code()
    rows = select(Subject.id.label("person_id"), _state(form_code, in_effect).label("state"))
    return rows.where(is_kept(), Subject.death_recorded_at.is_(None), form_code.is_not(None), *conditions)


def _versions_in_effect(session: Session) -> Sequence[tuple[str, str]]:
    """Returns code and newest version of every form that a protocol names."""
    codes = session.scalars(select(ProtocolConsent.form_code).distinct())
    found: list[tuple[str, str]] = []
    for code in codes:
        with suppress(NotFound):  # of a form whose file is gone no version is in effect
            found.append((code, consent_forms.form(code).version))
    return found


def _form_code() -> ScalarSelect[Any]:
    """SQL: the form of the newest course of the person of Subject; NULL without one."""
    record = aliased(Subject)
    # By the id or by the merge: each has an index.
    records = select(record.id).where(or_(record.id == Subject.id, record.merged_into_id == Subject.id))
    rows = select(ProtocolConsent.form_code).select_from(Course)
    rows = rows.outerjoin(ProtocolConsent, consent_filters.of_protocol(Course))
    rows = rows.where(COUNTS, Course.subject_id.in_(records.correlate(Subject)))
    newest_first = (_begins_on().desc(), Course.created_at.desc(), Course.number.desc(), Course.id.desc())
    return rows.order_by(*newest_first).limit(1).correlate(Subject).scalar_subquery()


def _begins_on() -> ColumnElement[date]:
    """SQL: the day of the first infusion of the course, before one is given the planned start."""
    first = select(func.min(Infusion.given_on)).where(Infusion.course_id == Course.id, Infusion.voided_at.is_(None))
    return func.coalesce(first.correlate(Course).scalar_subquery(), Course.planned_start_on, UNDATED)


def _state(form_code: ScalarSelect[Any], in_effect: Sequence[tuple[str, str]]) -> ColumnElement[str]:
    """SQL of `consent.state` in the domain, for a person with a form."""
    outcome = consent_filters.newest(ConsentDecision.outcome, Subject.id, form_code)
    version = consent_filters.newest(ConsentDecision.version, Subject.id, form_code)
    return case(
        (Subject.withdrawn_at.is_not(None), ConsentState.WITHDRAWN.value),
        (outcome.is_(None), ConsentState.NOT_ASKED.value),
        (outcome == ConsentOutcome.DECLINED, ConsentState.DECLINED.value),
        (tuple_(form_code, version).in_(in_effect), ConsentState.GIVEN.value),
        else_=ConsentState.OUTDATED.value,
    )
