"""Enrols many people of whom nothing is recorded, with their infusions, in a few statements for all of them.

Stores what `enrolment.enrol` and `courses.record_infusion` store for each of them, and the same audit rows.
"""

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.protocol import Protocol
from pro_tracker.models.course import Course
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Identity, Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import enrolment, identity_hashes
from pro_tracker.services.enrolment.facts import EnrolmentFacts, normalise
from pro_tracker.services.planning import new_courses
from pro_tracker.services.planning.new_courses import NewCourse, NewPerson
from pro_tracker.services.protocols import released_events
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.courses import CourseStartFacts
from pro_tracker.services.treatment.infusion_facts import InfusionFacts

Numbers = Mapping[str, tuple[int, Iterator[int]]]  # site code -> its id, and the numbers of its next study codes


@dataclass(frozen=True, slots=True)
class PersonToEnrol:
    """Valid facts of a person, the protocol, and the infusions in the order of time."""

    facts: EnrolmentFacts
    protocol: Protocol
    infusions: Sequence[InfusionFacts]


def enrol(session: Session, actor: Actor, people: Sequence[PersonToEnrol], *, now: datetime) -> None:
    """Enrols the people, records the infusions and plans the visits.

    The caller made sure that none of them may be recorded, and holds the rows of their sites. Raises IntegrityError if
    another site enrolled one of the record numbers in the meantime.
    """
    sites = {site.code: site for site in session.scalars(select(Site))}
    subjects = _add_subjects(session, people, sites, now)
    begun = [_new_courses(person, subject, now) for person, subject in zip(people, subjects, strict=True)]
    session.add_all(each.course for each in chain.from_iterable(begun))
    session.flush()
    protocols = {(person.protocol.code, person.protocol.version): person.protocol for person in people}
    for protocol in protocols.values():
        released_events.write_unreleased(session, protocol)
    added: list[NewPerson] = []
    for person, subject, of_person in zip(people, subjects, begun, strict=True):
        with_infusions = _with_infusions(session, of_person, person.protocol, now)
        site = sites[person.facts.site_code]
        added.append(NewPerson(subject, with_infusions, site.time_zone))
    new_courses.plan(session, added, now=now)
    for each in added:
        _audit(session, actor, each, now)


def _add_subjects(
    session: Session, people: Sequence[PersonToEnrol], sites: Mapping[str, Site], now: datetime
) -> list[Subject]:
    numbers = _study_codes(session, people)
    subjects: list[Subject] = []
    details: list[object] = []
    for person in people:
        facts = normalise(person.facts)
        site_id, next_numbers = numbers[facts.site_code]
        subject = enrolment.build_subject(uuid.uuid4(), site_id, next(next_numbers), facts, now)
        subjects.append(subject)
        details.append(_identity(subject, facts, sites[facts.site_code]))
        details += enrolment.contacts_and_consent(subject, facts, now)
    session.add_all(subjects)
    session.flush()  # first, since the other rows refer to them
    session.add_all(details)
    session.flush()
    return subjects


def _study_codes(session: Session, people: Sequence[PersonToEnrol]) -> Numbers:
    found: dict[str, tuple[int, Iterator[int]]] = {}
    for site_code, how_many in Counter(person.facts.site_code for person in people).items():
        site_id, first_number = enrolment.reserve_study_codes(session, site_code, how_many)
        found[site_code] = site_id, count(first_number)
    return found


def _identity(subject: Subject, facts: EnrolmentFacts, site: Site) -> Identity:
    identity = Identity(subject_id=subject.id, shares_number=False)
    identity_hashes.fill_record_number(identity, facts.record_number, identity_hashes.rules_of(site))
    enrolment.fill_identity(identity, facts)
    return identity


@dataclass(frozen=True, slots=True)
class _BegunCourse:
    """A course and the facts of its infusions."""

    course: Course
    facts: Sequence[InfusionFacts]


def _new_courses(person: PersonToEnrol, subject: Subject, now: datetime) -> list[_BegunCourse]:
    """Returns the first course, and one for each infusion that is too late for the course before it."""
    begun: list[_BegunCourse] = []
    for number, infusions in enumerate(_by_course(person), start=1):
        planned_start_on = None if number == 1 else infusions[0].given_on
        start = CourseStartFacts(person.protocol, planned_start_on)
        course = courses.build_course(subject, number, start, now)
        begun.append(_BegunCourse(course, infusions))
    return begun


def _by_course(person: PersonToEnrol) -> list[list[InfusionFacts]]:
    gap = timedelta(days=person.protocol.course_gap_days)
    groups: list[list[InfusionFacts]] = [[]]
    for facts in person.infusions:
        last = groups[-1]
        if last and facts.given_on - last[-1].given_on > gap:
            groups.append([])
        groups[-1].append(facts)
    return groups


def _with_infusions(
    session: Session, begun: Sequence[_BegunCourse], protocol: Protocol, now: datetime
) -> list[NewCourse]:
    found: list[NewCourse] = []
    for each in begun:
        infusions = [courses.build_infusion(each.course, facts, now) for facts in each.facts]
        session.add_all(infusions)
        found.append(NewCourse(each.course, protocol, infusions))
    return found


def _audit(session: Session, actor: Actor, person: NewPerson, now: datetime) -> None:
    """Records what the acts on one person would, in their order."""
    subject = person.subject
    site_code = subject.study_code.rpartition("-")[0]
    enrolment.audit_enrolment(session, actor, subject, site_code, now=now)
    for each in person.courses:
        courses.audit_start(session, actor, each.course, now=now)
        for infusion in each.infusions:
            courses.audit_infusion(session, actor, subject.id, infusion, now=now)
