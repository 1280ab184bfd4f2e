"""The worklist of staff: open calls, unanswered visits, courses without a date, closed contacts, unsent messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from pro_tracker.domain.consent import ConsentOutcome
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.account import Account
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.course import COUNTS, Course, Infusion
from pro_tracker.models.incoming_text import IncomingText
from pro_tracker.models.message import Message, is_to_subject
from pro_tracker.models.subject import Contact, Identity, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import call_list
from pro_tracker.services.calling.missing_infusions import missing_infusions
from pro_tracker.services.calling.missing_liver_tests import missing_liver_tests
from pro_tracker.services.clinic import visibility
from pro_tracker.services.clinic.participation import takes_part
from pro_tracker.services.clinic.person import with_person
from pro_tracker.services.consent_filters import has_declined, is_newest_answer
from pro_tracker.services.planning.event_filters import is_optional
from pro_tracker.services.planning.visit_filters import answerable

Joined = Select[*tuple[Any, ...]]

ROWS_PER_SECTION = 25  # the heading of a section shows the total
CLOSES_SOON = timedelta(days=7)
PROBLEM_STATES = (MessageState.FAILED, MessageState.UNCERTAIN)
ATTEMPTED_STATES = (MessageState.SENT, *PROBLEM_STATES)  # of a later message, which replaces the problem


@dataclass(frozen=True, slots=True)
class Section:
    """The first rows of one section of the worklist, and the total number of rows."""

    rows: Sequence[Any]
    total: int


@dataclass(frozen=True, slots=True)
class Worklist:
    """The sections with the entities of their rows; each Subject is loaded with identity and contacts.

    `calls`: Call, Visit, Subject, Course. `visits`: Visit, Subject, Course. `undated`: Course, Subject. `messages`:
    Message, Visit, Subject, Course. `closed`: Contact, Subject. `unconfirmed_deaths`: Visit, Subject, Course of the
    visits that ended with the reason "died" without a recorded death, as in earlier releases. `same_numbers`: Subject,
    and as `older` the Subject who holds the same record number, both at the account's sites. `texts`: IncomingText,
    Subject. `consents`: ConsentDecision, Subject. `infusions`: MissingInfusion. `liver_tests`: MissingLiverTests.
    `overdue` and `closing_soon` count visits.
    """

    calls: Section
    texts: Section
    visits: Section
    overdue: int
    closing_soon: int
    infusions: Section
    liver_tests: Section
    undated: Section
    messages: Section
    closed: Section
    consents: Section
    unconfirmed_deaths: Section
    same_numbers: Section


def worklist(session: Session, account: Account, *, now: datetime) -> Worklist:
    """Returns the worklist of the account's sites; calls and visits are sorted by urgency."""
    waiting = answerable(now)
    visits = _visits(and_(waiting, ~is_optional(), ~has_declined(Visit, Subject.id)))
    calls = call_list.open_calls().where(~call_list.is_postponed(now))
    overdue, closing_soon = _urgent(session, account, visits, now)
    infusions = missing_infusions(session, account, now=now)
    liver_tests = missing_liver_tests(session, account, now=now)
    return Worklist(
        calls=_section(session, account, calls, *call_list.urgency_order(session)),
        texts=_section(session, account, _unhandled_texts(), IncomingText.received_at),
        visits=_section(session, account, visits, Visit.closes_at),
        overdue=overdue,
        closing_soon=closing_soon,
        infusions=Section(infusions[:ROWS_PER_SECTION], len(infusions)),
        liver_tests=Section(liver_tests[:ROWS_PER_SECTION], len(liver_tests)),
        undated=_section(session, account, _undated(), Subject.study_code),
        messages=_section(session, account, _messages(waiting), Visit.closes_at),
        closed=_section(session, account, _closed_contacts(), Contact.state_at),
        consents=_section(session, account, _decisions(), ConsentDecision.given_at),
        unconfirmed_deaths=_section(session, account, _visits(_says_died()), Subject.study_code, Visit.closes_at),
        same_numbers=_section(session, account, _same_numbers(account), Subject.study_code),
    )


def _visits(waiting: ColumnElement[bool]) -> Joined:
    rows = select(Visit, Subject, Course)
    rows = with_person(rows, Visit.subject_id)
    rows = rows.join(Course, Course.id == Visit.course_id)
    return rows.where(waiting)


def _says_died() -> ColumnElement[bool]:
    """SQL: the visit has the reason "died", and no death is recorded."""
    reason = func.coalesce(Visit.void_reason, Visit.missed_reason)
    return and_(
        Visit.completed_at.is_(None),
        reason == UnansweredReason.DIED,
        Subject.death_recorded_at.is_(None),
    )


def _undated() -> Joined:
    """SQL: courses without a planned start, an infusion or an end, whose visits therefore have no anchor date."""
    given = exists().where(Infusion.course_id == Course.id, Infusion.voided_at.is_(None))
    rows = with_person(select(Course, Subject), Course.subject_id)
    return rows.where(
        Course.planned_start_on.is_(None),
        Course.ended_on.is_(None),
        COUNTS,
        takes_part(),
        ~given,
    )


def _messages(waiting: ColumnElement[bool]) -> Joined:
    """SQL: failed and uncertain messages of open visits, unless a later one to the same person was sent or failed."""
    newer = aliased(Message)
    has_later = exists().where(
        newer.visit_id == Message.visit_id,
        is_to_subject(newer) == is_to_subject(),
        newer.send_at > Message.send_at,
        newer.state.in_(ATTEMPTED_STATES),
    )
    rows = select(Message, Visit, Subject, Course)
    rows = rows.join(Visit, Visit.id == Message.visit_id)
    rows = with_person(rows, Message.subject_id)
    rows = rows.join(Course, Course.id == Visit.course_id)
    return rows.where(Message.state.in_(PROBLEM_STATES), waiting, ~has_later)


def _unhandled_texts() -> Joined:
    """SQL: texts that no member of staff has dealt with, also of people who died or withdrew: a relative may write."""
    rows = with_person(select(IncomingText, Subject), IncomingText.subject_id)
    return rows.where(IncomingText.handled_at.is_(None))


def _closed_contacts() -> Joined:
    """SQL: closed contacts that no member of staff has acknowledged."""
    rows = select(Contact, Subject).join(Subject, Subject.id == Contact.subject_id)
    return rows.where(
        Contact.state != ContactState.ACTIVE,
        Contact.acknowledged_at.is_(None),
        Subject.merged_into_id.is_(None),
        takes_part(),
    )


def _decisions() -> Joined:
    """SQL: declines and withdrawals of patients that no member of staff has acknowledged, and that still count."""
    rows = with_person(select(ConsentDecision, Subject), ConsentDecision.subject_id)
    still_declined = and_(ConsentDecision.outcome == ConsentOutcome.DECLINED, is_newest_answer(Subject.id))
    still_withdrawn = and_(ConsentDecision.form_code == "", Subject.withdrawn_at.is_not(None))
    return rows.where(
        or_(still_declined, still_withdrawn),
        ConsentDecision.acknowledged_at.is_(None),
        ConsentDecision.voided_at.is_(None),
        Subject.death_recorded_at.is_(None),
    )


def _same_numbers(account: Account) -> Joined:
    """SQL: records whose number an older record has, from before numbers had one normal form; see identity_hashes.py.

    Records at a site of others are not named: `pro-tracker ready` knows them.
    """
    identity, holder, older = aliased(Identity), aliased(Identity), aliased(Subject, name="older")
    rows = select(Subject, older)
    rows = rows.join(identity, identity.subject_id == Subject.id)
    rows = rows.join(holder, holder.record_number_hash == identity.record_number_hash)
    rows = rows.join(older, older.id == holder.subject_id)
    return rows.where(
        identity.shares_number,
        ~holder.shares_number,
        older.person_id != Subject.person_id,
        older.site_id.in_(account.site_ids),
    )


def _section(session: Session, account: Account, rows: Joined, *order: Any) -> Section:
    rows = visibility.visible(rows, account)
    count = rows.with_only_columns(func.count())
    total = session.scalar(count) or 0
    # An empty section saves the second round trip.
    if not total:
        return Section([], 0)
    rows = rows.options(joinedload(Subject.identity), joinedload(Subject.contacts))
    rows = rows.order_by(*order).limit(ROWS_PER_SECTION)
    shown = session.execute(rows).unique().all()
    return Section(shown, total)


def _urgent(session: Session, account: Account, visits: Joined, now: datetime) -> tuple[int, int]:
    """Counts the overdue visits and those that close within CLOSES_SOON."""
    overdue = _number_where(Visit.due_at <= now)
    closing_soon = _number_where(Visit.closes_at <= now + CLOSES_SOON)
    rows = visibility.visible(visits, account)
    counts = rows.with_only_columns(overdue, closing_soon)
    n_overdue, n_closing_soon = session.execute(counts).one()
    return n_overdue or 0, n_closing_soon or 0


def _number_where(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    """SQL: the number of rows for which the condition is true; NULL without rows."""
    one_or_zero = case((condition, 1), else_=0)
    return func.sum(one_or_zero)
