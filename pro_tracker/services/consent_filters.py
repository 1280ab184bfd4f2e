"""SQL of consent: the newest answer of a person to the form of a protocol, and what follows from it.

A protocol without a form (no row of ProtocolConsent) needs no consent: every condition here is then as without forms.
"""

from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, and_, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from pro_tracker.domain.consent import ANSWERS_TO_FORM, ConsentOutcome
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.course import Course
from pro_tracker.models.protocol_event import ProtocolConsent
from pro_tracker.models.subject import DATA_MAY_BE_USED, Subject

IS_ANSWER_IN_EFFECT = and_(ConsentDecision.outcome.in_(ANSWERS_TO_FORM), ConsentDecision.voided_at.is_(None))


def of_protocol(row: Any) -> ColumnElement[bool]:
    """SQL: the ProtocolConsent is that of `row`, which has the columns of a visit or a course."""
    same_version = ProtocolConsent.protocol_version == row.protocol_version
    return and_(ProtocolConsent.protocol_code == row.protocol_code, same_version)


def newest(
    column: ColumnElement[Any] | InstrumentedAttribute[Any], person_id: Any, form_code: Any
) -> ScalarSelect[Any]:
    """SQL: a column of the newest answer in effect of the person to the form, given as columns of the statement."""
    record = aliased(Subject)
    # By the id or by the merge: each has an index.
    records = select(record.id).where(or_(record.id == person_id, record.merged_into_id == person_id))
    rows = select(column).where(
        ConsentDecision.subject_id.in_(records.correlate_except(record)),
        ConsentDecision.form_code == form_code,
        IS_ANSWER_IN_EFFECT,
    )
    rows = rows.order_by(ConsentDecision.given_at.desc(), ConsentDecision.id.desc()).limit(1)
    return rows.correlate_except(ConsentDecision).scalar_subquery()


def is_newest_answer(person_id: Any) -> ColumnElement[bool]:
    """SQL over ConsentDecision: the person has given no later answer in effect to the same form."""
    later, record = aliased(ConsentDecision), aliased(Subject)
    records = select(record.id).where(or_(record.id == person_id, record.merged_into_id == person_id))
    same_moment = and_(later.given_at == ConsentDecision.given_at, later.id > ConsentDecision.id)
    return ~exists().where(
        later.subject_id.in_(records.correlate_except(record)),
        later.form_code == ConsentDecision.form_code,
        later.voided_at.is_(None),
        or_(later.given_at > ConsentDecision.given_at, same_moment),
    )


def has_declined(row: Any, person_id: Any) -> ColumnElement[bool]:
    """SQL: the person declined the form of the protocol of `row`, a visit: no message is sent, and no call is made."""
    outcome = newest(ConsentDecision.outcome, person_id, ProtocolConsent.form_code)
    return exists().where(of_protocol(row), outcome == ConsentOutcome.DECLINED).correlate_except(ProtocolConsent)


def _without_agreement() -> ColumnElement[bool]:
    """SQL: the person has a course whose protocol has a form, and did not agree to the use of answers for research.

    Not correlated, so that it is computed once in a statement, from the few protocols that have a form.
    """
    record, course = aliased(Subject), aliased(Course)
    agreed = newest(ConsentDecision.agreed_registry, record.person_id, ProtocolConsent.form_code)
    people = select(record.person_id).select_from(ProtocolConsent)
    people = people.join(course, of_protocol(course)).join(record, record.id == course.subject_id)
    people = people.where(or_(agreed.is_(None), ~agreed))
    return Subject.id.in_(people)


# In research files and figures. Over Subject, as the kept record of its person.
MAY_BE_RESEARCHED = and_(DATA_MAY_BE_USED, ~_without_agreement())
