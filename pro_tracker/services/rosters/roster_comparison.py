"""Compares the rows of a roster with the recorded subjects and infusions. Read only."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from pro_tracker.db import key_ring
from pro_tracker.domain.channels import Channel
from pro_tracker.models.course import COUNTS, AdverseEvent, Course, Infusion
from pro_tracker.models.subject import Identity, Subject
from pro_tracker.services.clinic.person import persons_by_record
from pro_tracker.services.contacts.addresses import usable_email, usable_mobile
from pro_tracker.services.enrolment.identity_hashes import RECORD_NUMBER
from pro_tracker.services.planning import person_courses
from pro_tracker.services.rosters.roster_checks import IDENTITY, RosterFinding, RosterPerson, on_each_row
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, InfusionFacts

BATCH_SIZE = 200
ANOTHER_PERSON = "This record number is enrolled with another {column}. Correct the row, or the subject's page."
OTHER_PROTOCOL = "The subject follows another protocol, which stays. Move the subject on the page of the course."
DIFFERS = "This differs from what is recorded, which stays. Change it on the subject's page if the file is right."
OTHER_SITE = (
    "This person belongs to the site {site} now, and stays there. If that is wrong, transfer the person on the"
    " subject's page; else give the row this site, or leave it out."
)


def enrolled_subjects(session: Session, record_numbers: Sequence[str]) -> dict[str, Subject]:
    """Returns record number, in normal form, -> subject for the enrolled, loaded with identity, contacts and site.

    Of several records with one number, the one that holds it: the oldest.
    """
    found: dict[str, Subject] = {}
    for start in range(0, len(record_numbers), BATCH_SIZE):
        batch = record_numbers[start : start + BATCH_SIZE]
        numbers = _numbers_by_hash(batch)
        rows = select(Identity).where(
            Identity.record_number_hash.in_(numbers),
            ~Identity.shares_number,
        )
        subject = joinedload(Identity.subject)
        loaded = rows.options(subject.joinedload(Subject.site), subject.selectinload(Subject.contacts))
        for identity in session.scalars(loaded):
            found[numbers[identity.record_number_hash]] = identity.subject
    return found


def _numbers_by_hash(record_numbers: Sequence[str]) -> dict[bytes, str]:
    """Returns hash -> normal form of the record number, with one hash for each key of the key ring."""
    numbers: dict[bytes, str] = {}
    for number in record_numbers:
        hashes = key_ring().lookup_hashes(number, RECORD_NUMBER)
        numbers.update(dict.fromkeys(hashes, number))
    return numbers


def differences(person: RosterPerson, subject: Subject) -> Iterator[RosterFinding]:
    """Yields the differences between a person of the file and the enrolled subject.

    A different identity is a finding on every row, any other difference a warning on the first row.
    """
    facts, identity = person.facts, subject.identity
    typed = {
        "given_name": facts.given_name,
        "family_name": facts.family_name,
        "birth_date": str(facts.birth_date),
    }
    for column in IDENTITY:
        if typed[column] != getattr(identity, column):
            reason = ANOTHER_PERSON.format(column=column)
            yield from on_each_row(person.rows, column, reason)
    for column, (given, recorded) in _other_columns(person, subject).items():
        if given != recorded:
            yield RosterFinding(person.rows[0].row.line, column, DIFFERS, is_warning=True)
    if facts.site_code != subject.site.code:
        reason = OTHER_SITE.format(site=subject.site.code)
        yield RosterFinding(person.rows[0].row.line, "site", reason, is_warning=True)


def protocol_difference(person: RosterPerson, recorded: "RecordedTreatment") -> Iterator[RosterFinding]:
    """Yields a warning where the file names another protocol than the one of the subject's newest course."""
    named = person.facts.protocol
    newest = recorded.newest_protocol
    if named and newest and newest != named:
        line = person.rows[0].row.line
        yield RosterFinding(line, "protocol", OTHER_PROTOCOL, is_warning=True)


def _other_columns(person: RosterPerson, subject: Subject) -> Mapping[str, tuple[object, object]]:
    facts = person.facts
    contacts = {contact.channel: contact.address for contact in subject.contacts}
    return {
        "sex": (facts.sex, subject.sex),
        "email": (usable_email(facts.email), contacts.get(Channel.EMAIL)),
        "mobile": (usable_mobile(facts.mobile), contacts.get(Channel.SMS)),
        "language": (facts.language, subject.language),
        "time_zone": (facts.time_zone, subject.time_zone),
        "enrolled_on": (facts.enrolled_on, subject.enrolled_on),
    }


@dataclass(slots=True)
class RecordedTreatment:
    """Record of one person: (date, start) -> infusion, and the code of the newest course's protocol."""

    infusions: dict[tuple[object, object], Infusion] = field(default_factory=dict)
    newest_protocol: str = ""


def recorded_treatment(session: Session, person_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, RecordedTreatment]:
    """Returns the treatment of each of these people, over all courses. Three statements for all."""
    people = persons_by_record(session, person_ids)
    found = {person_id: RecordedTreatment() for person_id in person_ids}
    for person_id, courses in _courses(session, people).items():
        found[person_id].newest_protocol = _newest(session, person_id, courses).protocol_code
    rows = select(Infusion, Course.subject_id).join(Course, Course.id == Infusion.course_id)
    rows = rows.where(Course.subject_id.in_(people), Infusion.voided_at.is_(None))
    for infusion, record_id in session.execute(
        rows.options(selectinload(Infusion.all_adverse_events), selectinload(Infusion.medications))
    ):
        key = (infusion.given_on, infusion.started_at_local)
        found[people[record_id]].infusions[key] = infusion
    return found


def _courses(session: Session, people: Mapping[uuid.UUID, uuid.UUID]) -> Mapping[uuid.UUID, Sequence[Course]]:
    """Returns person id -> courses that count, by number. `people`: record id -> person id."""
    rows = select(Course).where(Course.subject_id.in_(people), COUNTS)
    found = defaultdict[uuid.UUID, list[Course]](list)
    for course in session.scalars(rows.order_by(Course.number)):
        found[people[course.subject_id]].append(course)
    return found


def _newest(session: Session, person_id: uuid.UUID, courses: Sequence[Course]) -> Course:
    if person_courses.has_one_record(courses):
        return courses[-1]
    return person_courses.of_person(session, person_id)[-1]


def same_infusion(infusion: Infusion, facts: InfusionFacts) -> bool:
    """Returns whether a row equals the recorded infusion; adverse events that staff added since are ignored."""
    details = ("dose_mg_per_kg", "weight_kg", "minutes", "status", "stop_reason", "ondansetron_mg")
    recorded = {_event(event) for event in infusion.adverse_events}
    in_file = {_event(event) for event in facts.adverse_events}
    same_details = all(getattr(infusion, name) == getattr(facts, name) for name in details)
    return same_details and in_file <= recorded


def _event(event: AdverseEvent | AdverseEventFacts) -> tuple[str, int, bool | None]:
    return event.term, event.ctcae_grade, event.emergency_response
