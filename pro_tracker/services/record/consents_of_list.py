"""The state of consent of each person of the list, and the states that the list can be limited to.

A person has one where the protocol of the newest course names a consent form, and no death is recorded.
"""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, select, tuple_
from sqlalchemy.orm import Session

from pro_tracker.domain.consent import ConsentChoice, ConsentOutcome, ConsentState
from pro_tracker.domain.errors import NotFound
from pro_tracker.models.account import Account
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.course import COUNTS, Course, Infusion
from pro_tracker.models.protocol_event import ProtocolConsent
from pro_tracker.models.subject import Subject
from pro_tracker.services import consent_filters
from pro_tracker.services.clinic import visibility
from pro_tracker.services.clinic.person import RECORD, is_kept
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
    """SQL: person_id and state of each kept record with a consent form; None where no protocol has one.

    Newest rows are found for all people at once: one by one they took seconds for a list of some thousand.
    """
    in_effect = _versions_in_effect(session)
    if not in_effect:
        return None
    people = select(Subject.id).where(is_kept(), Subject.death_recorded_at.is_(None), *conditions)
    course, answer = _newest_course(people), _newest_answer(people)
    is_to_form = and_(answer.c.person_id == Subject.id, answer.c.form_code == course.c.form_code, answer.c.place == 1)
    rows = select(Subject.id.label("person_id"), _state(answer, in_effect).label("state"))
    rows = rows.join(course, course.c.person_id == Subject.id).outerjoin(answer, is_to_form)
    return rows.where(course.c.place == 1, course.c.form_code.is_not(None))


def _versions_in_effect(session: Session) -> Sequence[tuple[str, str]]:
    """Returns code and newest version of every form that a protocol names."""
    codes = session.scalars(select(ProtocolConsent.form_code).distinct())
    found: list[tuple[str, str]] = []
    for code in codes:
        with suppress(NotFound):  # of a form whose file is gone no version is in effect
            found.append((code, consent_forms.form(code).version))
    return found


def _newest_course(people: Select[uuid.UUID]) -> Subquery:
    """SQL: person_id and form_code (NULL without a form) of the courses of these people; the newest has `place` 1."""
    newest_first = (_begins_on().desc(), Course.created_at.desc(), Course.number.desc(), Course.id.desc())
    place = func.row_number().over(partition_by=RECORD.person_id, order_by=newest_first)
    rows = select(RECORD.person_id.label("person_id"), ProtocolConsent.form_code, place.label("place"))
    rows = rows.select_from(Course).join(RECORD, RECORD.id == Course.subject_id)
    rows = rows.outerjoin(ProtocolConsent, consent_filters.of_protocol(Course))
    return rows.where(COUNTS, RECORD.person_id.in_(people)).subquery()


def _newest_answer(people: Select[uuid.UUID]) -> Subquery:
    """SQL: person_id, form_code, outcome and version of these people's answers; the newest to a form has `place` 1."""
    newest_first = (ConsentDecision.given_at.desc(), ConsentDecision.id.desc())
    place = func.row_number().over(partition_by=(RECORD.person_id, ConsentDecision.form_code), order_by=newest_first)
    columns = (ConsentDecision.form_code, ConsentDecision.outcome, ConsentDecision.version, place.label("place"))
    rows = select(RECORD.person_id.label("person_id"), *columns)
    rows = rows.select_from(ConsentDecision).join(RECORD, RECORD.id == ConsentDecision.subject_id)
    return rows.where(consent_filters.IS_ANSWER_IN_EFFECT, RECORD.person_id.in_(people)).subquery()


def _begins_on() -> ColumnElement[date]:
    """SQL: the day of the first infusion of the course, before one is given the planned start."""
    first = select(func.min(Infusion.given_on)).where(Infusion.course_id == Course.id, Infusion.voided_at.is_(None))
    return func.coalesce(first.correlate(Course).scalar_subquery(), Course.planned_start_on, UNDATED)


def _state(answer: Subquery, in_effect: Sequence[tuple[str, str]]) -> ColumnElement[str]:
    """SQL of `consent.state` in the domain, for a person with a form and the newest answer to it, if there is one."""
    return case(
        (Subject.withdrawn_at.is_not(None), ConsentState.WITHDRAWN.value),
        (answer.c.outcome.is_(None), ConsentState.NOT_ASKED.value),
        (answer.c.outcome == ConsentOutcome.DECLINED, ConsentState.DECLINED.value),
        (tuple_(answer.c.form_code, answer.c.version).in_(in_effect), ConsentState.GIVEN.value),
        else_=ConsentState.OUTDATED.value,
    )
