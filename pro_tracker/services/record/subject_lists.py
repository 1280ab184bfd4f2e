"""The list of an account's subjects: pages, an exact look-up, and the open visits of each subject."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from pro_tracker.domain.consent import ConsentChoice
from pro_tracker.domain.folding import visible
from pro_tracker.models.account import Account
from pro_tracker.models.subject import Identity, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic import visibility
from pro_tracker.services.clinic.person import is_kept, persons_by_record
from pro_tracker.services.enrolment import identity_hashes
from pro_tracker.services.planning import visit_filters
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.record import consents_of_list

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class OpenVisit:
    """A visit that can be answered now, with its title in the protocol."""

    visit: Visit
    title: str


@dataclass(frozen=True, slots=True)
class SubjectPage:
    """One page of subjects, with their open visits by subject id."""

    subjects: Sequence[Subject]
    open_visits: Mapping[object, Sequence[OpenVisit]]
    total: int
    number: int

    @property
    def last(self) -> int:
        """The number of the last page, from 1."""
        return _last_page(self.total)


def _last_page(total: int) -> int:
    """The number of pages of `total` subjects; an empty list has one page."""
    return max(ceil(total / PAGE_SIZE), 1)


@dataclass(frozen=True, slots=True)
class SubjectFilters:
    """The limits of the list, and the number of its page, from 1.

    `search` is a whole record number or study code: names and numbers are encrypted, so no part of one can be found.
    `consent`: limits the list to people whose consent is in one of these states.
    """

    search: str = ""
    consent: ConsentChoice | None = None
    number: int = 1


def page(session: Session, account: Account, filters: SubjectFilters, *, now: datetime) -> SubjectPage:
    """One page of the subjects this account may see, newest code last."""
    rows = visibility.visible(_matching(session, filters), account)
    count = select(func.count()).select_from(rows.subquery())
    total = session.scalar(count) or 0
    number = min(max(filters.number, 1), _last_page(total))
    ordered = (
        rows.options(joinedload(Subject.identity), joinedload(Subject.site))
        .order_by(Subject.study_code)
        .limit(PAGE_SIZE)
        .offset((number - 1) * PAGE_SIZE)
    )
    subjects = session.scalars(ordered).unique().all()
    return SubjectPage(subjects, _open_visits(session, subjects, now), total, number)


def _matching(session: Session, filters: SubjectFilters) -> Select[Subject]:
    rows = select(Subject).where(is_kept())
    if filters.consent is not None:
        rows = rows.where(consents_of_list.is_in(session, filters.consent))
    text = visible(filters.search)
    if not text:
        return rows
    rules = identity_hashes.rules_by_site(session).values()
    record = aliased(Subject)
    numbered = select(Identity.subject_id).where(identity_hashes.has_number(text, *rules))
    found = or_(
        func.lower(record.study_code) == text.lower(),
        record.id.in_(numbered),
    )
    return rows.where(Subject.id.in_(select(record.person_id).where(found)))


def _open_visits(session: Session, subjects: Sequence[Subject], now: datetime) -> Mapping[object, Sequence[OpenVisit]]:
    people = persons_by_record(session, [subject.id for subject in subjects])
    rows = (
        select(Visit)
        .where(
            Visit.subject_id.in_(people),
            visit_filters.answerable(now),
        )
        .order_by(Visit.closes_at)
    )
    found: dict[object, list[OpenVisit]] = defaultdict(list)
    for visit in session.scalars(rows):
        event = protocol_catalog.bound_to(visit).event(visit.event_code)
        found[people[visit.subject_id]].append(OpenVisit(visit, event.name(visit.infusion_day)))
    return found
