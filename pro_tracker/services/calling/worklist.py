"""The worklist of staff: open calls, unanswered visits, courses without a date, closed contacts, unsent messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, case, exists, func, select
from sqlalchemy.orm import Session, aliased, joinedload

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.models.account import Account
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import call_list
from pro_tracker.services.clinic import visibility
from pro_tracker.services.planning.visit_filters import answerable

Joined = Select[*tuple[Any, ...]]

ROWS_PER_SECTION = 25  # the heading of a section shows the total
CLOSES_SOON = timedelta(days=7)
PROBLEM_STATES = (MessageState.FAILED, MessageState.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Section:
    """The first rows of one section of the worklist, and the total number of rows."""

    rows: Sequence[Row[Any]]
    total: int


@dataclass(frozen=True, slots=True)
class Worklist:
    """The sections with the entities of their rows; each Subject is loaded with identity and contacts.

    `calls`: Call, Visit, Subject, Course. `visits`: Visit, Subject, Course. `undated`: Course, Subject.
    `messages`: Message, Visit, Subject, Course. `closed`: Contact, Subject.
    `overdue` and `closing_soon` count visits.
    """

    calls: Section
    visits: Section
    overdue: int
    closing_soon: int
    undated: Section
    messages: Section
    closed: Section


def worklist(session: Session, account: Account, *, now: datetime) -> Worklist:
    """Returns the worklist of the account's sites; calls and visits are sorted by urgency."""
    waiting = answerable(now)
    visits = select(Visit, Subject, Course).join(Subject, Subject.id == Visit.subject_id)
    visits = visits.join(Course, Course.id == Visit.course_id).where(waiting)
    calls = call_list.open_calls().where(~call_list.is_postponed(now))
    overdue, closing_soon = _urgent(session, account, visits, now)
    return Worklist(
        calls=_section(session, account, calls, *call_list.urgency_order(session)),
        visits=_section(session, account, visits, Visit.closes_at),
        overdue=overdue,
        closing_soon=closing_soon,
        undated=_section(session, account, _undated(), Subject.study_code),
        messages=_section(session, account, _messages(waiting), Visit.closes_at),
        closed=_section(session, account, _closed_contacts(), Contact.state_at),
    )


def _undated() -> Joined:
    """SQL: courses without a planned start, an infusion or an end, whose visits therefore have no anchor date."""
    given = exists().where(Infusion.course_id == Course.id, Infusion.voided_at.is_(None))
    rows = select(Course, Subject).join(Subject, Subject.id == Course.subject_id)
    return rows.where(
        Course.planned_start_on.is_(None), Course.ended_on.is_(None), Subject.withdrawn_at.is_(None), ~given
    )


def _messages(waiting: Any) -> Joined:
    """SQL: failed and uncertain messages of open visits, unless a later message was sent or failed."""
    rows = select(Message, Visit, Subject, Course).join(Visit, Visit.id == Message.visit_id)
    rows = rows.join(Subject, Subject.id == Message.subject_id).join(Course, Course.id == Visit.course_id)
    newer = aliased(Message)
    attempted = newer.state.in_((MessageState.SENT, *PROBLEM_STATES))
    has_later = exists().where(newer.visit_id == Message.visit_id, newer.send_at > Message.send_at, attempted)
    return rows.where(Message.state.in_(PROBLEM_STATES), waiting, ~has_later)


def _closed_contacts() -> Joined:
    """SQL: closed contacts that no member of staff has acknowledged."""
    rows = select(Contact, Subject).join(Subject, Subject.id == Contact.subject_id)
    return rows.where(
        Contact.state != ContactState.ACTIVE, Contact.acknowledged_at.is_(None), Subject.withdrawn_at.is_(None)
    )


def _section(session: Session, account: Account, rows: Joined, *order: Any) -> Section:
    rows = visibility.visible(rows, account)
    total = session.scalar(rows.with_only_columns(func.count())) or 0
    # An empty section saves the second round trip.
    if not total:
        return Section([], 0)
    shown = rows.options(joinedload(Subject.identity), joinedload(Subject.contacts))
    shown = shown.order_by(*order).limit(ROWS_PER_SECTION)
    return Section(session.execute(shown).unique().all(), total)


def _urgent(session: Session, account: Account, visits: Joined, now: datetime) -> tuple[int, int]:
    """Counts the overdue visits and those that close within CLOSES_SOON."""
    overdue = func.sum(case((Visit.due_at <= now, 1), else_=0))
    closing_soon = func.sum(case((Visit.closes_at <= now + CLOSES_SOON, 1), else_=0))
    counted = visibility.visible(visits, account).with_only_columns(overdue, closing_soon)
    n_overdue, n_closing_soon = session.execute(counted).one()
    return n_overdue or 0, n_closing_soon or 0
