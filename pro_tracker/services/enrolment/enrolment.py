"""Enrols and withdraws subjects. The facts are checked in facts.py, withdrawals are changed in withdrawals.py."""

import unicodedata
import uuid
from dataclasses import replace
from datetime import date, datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pro_tracker.db import key_ring
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import DuplicateRecord, InvalidInput
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.subject_codes import Sex, WithdrawalScope
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Consent, Contact, Identity, Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls
from pro_tracker.services.contacts import contacts
from pro_tracker.services.contacts.addresses import usable_address
from pro_tracker.services.enrolment.facts import EnrolmentFacts, FieldProblem, check, normalise
from pro_tracker.services.planning import visits
from pro_tracker.services.protocols.protocol_catalog import default_protocol
from pro_tracker.services.treatment import courses

__all__ = [
    "EnrolmentFacts",
    "FieldProblem",
    "age_on",
    "check",
    "enrol",
    "find_by_record_number",
    "preferred_channel",
    "withdraw",
]

RECORD_NUMBER = "record-number"  # the kind of this look-up hash; that of a contact is its channel
DUPLICATE = "This record number is enrolled already. Look the subject up, or correct the number."


def enrol(session: Session, actor: Actor, facts: EnrolmentFacts, *, now: datetime) -> Subject:
    """Adds a subject with identity, contacts, consent and a first course, and plans its visits.

    Raises InvalidInput with its field for the first invalid fact, DuplicateRecord when the record number exists.
    """
    facts = normalise(facts)
    sites = session.scalars(select(Site.code)).all()
    problems = check(facts, sites=sites, now=now)
    if problems:
        raise InvalidInput(problems[0].reason, field=problems[0].field)
    subject = _add_subject(session, facts, now=now)
    session.add_all([*_contacts(subject, facts, now), _consent(subject, facts, now)])
    audit.record(session, actor, "subject.enrol", now=now, subject_id=subject.id, detail={"site": facts.site_code})
    protocol = _protocol_for(facts)
    courses.start_course(session, subject, protocol, planned_start_on=facts.planned_start_on, now=now, actor=actor)
    return subject


def withdraw(
    session: Session,
    actor: Actor,
    subject: Subject,
    reason: str,
    *,
    now: datetime,
    scope: WithdrawalScope = WithdrawalScope.ASKING,
) -> None:
    """Withdraws a subject: voids open visits, ends unsent messages, closes calls. Answers are kept.

    Calls about alerts stay open, since the subject may still need them. With the scope DATA the answers are left out
    of research results and files. `withdrawals.revert` reverts a withdrawal.

    Raises InvalidInput for a missing reason, and for a subject who has withdrawn before.
    """
    if not reason.strip():
        raise InvalidInput("Say why the subject withdraws.", field="reason")
    # "of" leaves out the rows that were joined when the subject was loaded.
    session.refresh(subject, with_for_update={"of": Subject})
    if subject.withdrawn_at is not None:
        raise InvalidInput("This subject has withdrawn before.")
    subject.withdrawn_at, subject.withdrawn_reason, subject.withdrawn_scope = now, reason.strip(), scope
    visits.void_all(session, subject.id, UnansweredReason.WITHDRAWN, now)
    calls.close_all(session, subject.id, now=now)
    audit.record(session, actor, "subject.withdraw", now=now, subject_id=subject.id, detail={"scope": scope})


def _protocol_for(facts: EnrolmentFacts) -> Protocol:
    protocol = default_protocol()
    return replace(protocol, planned_infusions=facts.planned_infusions or protocol.planned_infusions)


def find_by_record_number(session: Session, record_number: str) -> Subject | None:
    """Returns the subject with this record number at any site, or None; the caller checks whether it may be shown."""
    number = unicodedata.normalize("NFC", record_number.strip())
    hashes = key_ring().lookup_hashes(number, RECORD_NUMBER)
    return session.scalar(select(Subject).join(Subject.identity).where(Identity.record_number_hash.in_(hashes)))


def _add_subject(session: Session, facts: EnrolmentFacts, *, now: datetime) -> Subject:
    # The unique index compares hashes of one key only; the search also finds those of older keys.
    if find_by_record_number(session, facts.record_number) is not None:
        raise DuplicateRecord(DUPLICATE, field="record_number")
    subject = _subject(session, facts, now)
    try:
        with session.begin_nested():
            session.add_all([subject, _identity(subject, facts)])
    except IntegrityError as twice:
        raise DuplicateRecord(DUPLICATE, field="record_number") from twice
    return subject


def _subject(session: Session, facts: EnrolmentFacts, now: datetime) -> Subject:
    site_id, study_code = _next_study_code(session, facts.site_code)
    enrolled_on = _required_date(facts.enrolled_on)
    return Subject(
        id=uuid.uuid4(),
        site_id=site_id,
        study_code=study_code,
        enrolled_on=enrolled_on,
        sex=Sex(facts.sex),
        age_years=age_on(enrolled_on, _required_date(facts.birth_date)),
        language=facts.language,
        time_zone=facts.time_zone,
        preferred_channel=preferred_channel(facts),
        created_at=now,
    )


def preferred_channel(facts: EnrolmentFacts) -> Channel:
    """Returns the preferred channel, or the first channel with an address if none was chosen, or e-mail."""
    if facts.preferred_channel:
        return Channel(facts.preferred_channel)
    with_address = (channel for channel, address in facts.addresses.items() if address)
    return next(with_address, Channel.EMAIL)


def _next_study_code(session: Session, site_code: str) -> tuple[int, str]:
    """Returns the site's id and its next study code, such as "north-0001".

    The counter is read and raised by one UPDATE, so that concurrent enrolments get different codes.
    """
    counted = (
        update(Site)
        .where(Site.code == site_code)
        .values(last_subject_number=Site.last_subject_number + 1)
        .returning(Site.id, Site.last_subject_number)
        .execution_options(synchronize_session=False)
    )
    site_id, number = session.execute(counted).one()
    return site_id, f"{site_code}-{number:04}"


def _required_date(day: date | None) -> date:
    if day is None:
        raise InvalidInput("A date is missing.")
    return day


def age_on(day: date, birth_date: date) -> int:
    """Returns the age in completed years on a day."""
    before_birthday = (day.month, day.day) < (birth_date.month, birth_date.day)
    return day.year - birth_date.year - before_birthday


def _identity(subject: Subject, facts: EnrolmentFacts) -> Identity:
    identity = Identity(
        subject_id=subject.id,
        record_number_hash=key_ring().lookup_hash(facts.record_number, RECORD_NUMBER),
    )
    identity.record_number = facts.record_number
    identity.given_name, identity.family_name = facts.given_name, facts.family_name
    identity.birth_date = _required_date(facts.birth_date).isoformat()
    return identity


def _contacts(subject: Subject, facts: EnrolmentFacts, now: datetime) -> list[Contact]:
    usable = {channel: usable_address(channel, typed) for channel, typed in facts.addresses.items()}
    return [contacts.new(subject.id, channel, address, now=now) for channel, address in usable.items() if address]


def _consent(subject: Subject, facts: EnrolmentFacts, now: datetime) -> Consent:
    return Consent(
        subject_id=subject.id,
        version=facts.consent_version,
        signed_on=_required_date(facts.consent_on),
        recorded_at=now,
    )
