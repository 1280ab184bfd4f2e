"""Enrols and withdraws subjects. The facts are checked in facts.py, withdrawals are changed in withdrawals.py."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import DuplicateRecord, InvalidInput
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.record_numbers import NO_RULES, NumberRules
from pro_tracker.domain.subject_codes import Sex
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Consent, Contact, Identity, Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls
from pro_tracker.services.clinic import person
from pro_tracker.services.contacts import contacts
from pro_tracker.services.contacts.addresses import usable_address
from pro_tracker.services.enrolment import identity_hashes
from pro_tracker.services.enrolment.facts import EnrolmentFacts, FieldProblem, check, normalise
from pro_tracker.services.enrolment.identity_hashes import DUPLICATE
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import subject_lock, visits
from pro_tracker.services.protocols import protocol_choice
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.courses import CourseStartFacts

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

DIED = "A death is recorded for the patient with this number."


def enrol(
    session: Session, actor: Actor, facts: EnrolmentFacts, *, now: datetime, protocol: Protocol | None = None
) -> Subject:
    """Adds a subject with identity, contacts, consent and a first course, and plans its visits.

    The course follows `protocol`, by default the one of `facts` or of the site (protocol_choice.py).

    Raises InvalidInput with its field for the first invalid fact and where no protocol is chosen, DuplicateRecord when
    the record number exists.
    """
    facts = normalise(facts)
    sites = identity_hashes.rules_by_site(session)
    problems = check(facts, sites=sites, now=now)
    if problems:
        raise InvalidInput(problems[0].reason, field=problems[0].field)
    followed = _with_plan(protocol or _chosen_protocol(session, facts), facts)
    subject = _add_subject(session, facts, sites[facts.site_code], now=now)
    session.add_all(contacts_and_consent(subject, facts, now))
    audit_enrolment(session, actor, subject, facts.site_code, now=now)
    start = CourseStartFacts(followed, facts.planned_start_on)
    courses.start_course(session, subject, start, now=now, actor=actor)
    return subject


def withdraw(session: Session, actor: Actor, subject: Subject, facts: WithdrawalFacts, *, now: datetime) -> None:
    """Withdraws a subject: voids open visits, ends unsent messages, closes calls. Answers are kept.

    Calls about alerts stay open, since the subject may still need them. With the scope DATA the answers are left out
    of research results and files. `withdrawals.revert` reverts a withdrawal.

    Raises InvalidInput for a missing reason, and for a subject who has withdrawn before.
    """
    reason = facts.reason.strip()
    if not reason:
        raise InvalidInput("Say why the subject withdraws.", field="reason")
    subject_lock.lock(session, subject)
    if subject.withdrawn_at is not None:
        raise InvalidInput("This subject has withdrawn before.")
    subject.withdrawn_at = now
    subject.withdrawn_reason = reason
    subject.withdrawn_scope = facts.scope
    visits.void_all(session, subject.id, UnansweredReason.WITHDRAWN, now)
    calls.close_all(session, subject.id, now=now)
    audit.record(session, actor, "subject.withdraw", now=now, subject_id=subject.id, detail={"scope": facts.scope})


def _chosen_protocol(session: Session, facts: EnrolmentFacts) -> Protocol:
    site_default = protocol_choice.site_default(session, facts.site_code)
    return protocol_choice.chosen(facts.protocol, site_default)


def _with_plan(protocol: Protocol, facts: EnrolmentFacts) -> Protocol:
    """Returns the protocol with the number of infusions that is planned for this subject."""
    return replace(protocol, planned_infusions=facts.planned_infusions or protocol.planned_infusions)


def find_by_record_number(session: Session, record_number: str) -> Subject | None:
    """Returns the subject with this record number at any site, or None; the caller checks whether it may be shown.

    Of several, the one that was enrolled first.
    """
    rules = identity_hashes.rules_by_site(session)
    has_number = identity_hashes.has_number(record_number, *rules.values())
    subjects = select(Subject).join(Subject.identity)
    subjects = subjects.where(has_number)
    oldest_first = subjects.order_by(Identity.shares_number, Subject.created_at)
    return session.scalar(oldest_first.limit(1))


def reject_duplicate(session: Session, record_number: str, *, site_code: str, own: Subject | None = None) -> None:
    """Raises DuplicateRecord if another subject than `own` has this record number in normal form, at any site.

    `site_code`: of the site that asks, whose rules of record numbers apply.
    """
    rules = identity_hashes.rules_by_site(session).get(site_code, NO_RULES)
    holder_id = identity_hashes.holder(session, record_number, rules)
    if holder_id is not None and (own is None or holder_id != own.id):
        known = person.kept(session, holder_id)
        raise DuplicateRecord(_duplicate(known, site_code), field="record_number")


def _add_subject(session: Session, facts: EnrolmentFacts, rules: NumberRules, *, now: datetime) -> Subject:
    reject_duplicate(session, facts.record_number, site_code=facts.site_code)
    identity = Identity(subject_id=uuid.uuid4())
    identity_hashes.set_record_number(session, identity, facts.record_number, rules)
    fill_identity(identity, facts)
    site_id, first_number = reserve_study_codes(session, facts.site_code, 1)
    subject = build_subject(identity.subject_id, site_id, first_number, facts, now)
    try:
        with session.begin_nested():
            session.add_all([subject, identity])
    except IntegrityError as twice:
        raise DuplicateRecord(DUPLICATE, field="record_number") from twice
    return subject


def _duplicate(known: Subject, site_code: str) -> str:
    """Returns the advice for a record number that is enrolled. Another site does not learn of a death by it."""
    is_own = known.site.code == site_code
    return f"{DIED} {DUPLICATE}" if is_own and known.death_recorded_at is not None else DUPLICATE


def build_subject(subject_id: uuid.UUID, site_id: int, number: int, facts: EnrolmentFacts, now: datetime) -> Subject:
    """Builds the row of a subject from valid facts; does not add it to a session. `number`: within the site."""
    enrolled_on = _required_date(facts.enrolled_on)
    return Subject(
        id=subject_id,
        site_id=site_id,
        study_code=f"{facts.site_code}-{number:04}",
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


def reserve_study_codes(session: Session, site_code: str, how_many: int) -> tuple[int, int]:
    """Returns the site's id and the first of its next numbers: of "north-0001" it is 1.

    The counter is read and raised by one UPDATE, so that concurrent enrolments get different codes.
    """
    counted = (
        update(Site)
        .where(Site.code == site_code)
        .values(last_subject_number=Site.last_subject_number + how_many)
        .returning(Site.id, Site.last_subject_number)
        .execution_options(synchronize_session=False)
    )
    site_id, last_number = session.execute(counted).one()
    return site_id, last_number - how_many + 1


def _required_date(day: date | None) -> date:
    if day is None:
        raise InvalidInput("A date is missing.")
    return day


def age_on(day: date, birth_date: date) -> int:
    """Returns the age in completed years on a day."""
    years = day.year - birth_date.year
    is_before_birthday = (day.month, day.day) < (birth_date.month, birth_date.day)
    return years - 1 if is_before_birthday else years


def fill_identity(identity: Identity, facts: EnrolmentFacts) -> None:
    """Stores name and birth date; the record number is stored by identity_hashes.py."""
    identity.given_name, identity.family_name = facts.given_name, facts.family_name
    identity_hashes.set_birth_date(identity, _required_date(facts.birth_date))


def contacts_and_consent(subject: Subject, facts: EnrolmentFacts, now: datetime) -> Sequence[Contact | Consent]:
    """Builds the rows of a new subject's contacts and consent; does not add them to a session."""
    usable: list[Contact | Consent] = [_consent(subject, facts, now)]
    for channel, typed in facts.addresses.items():
        address = usable_address(channel, typed)
        if address:
            usable.append(contacts.new(subject.id, channel, address, now=now))
    return usable


def audit_enrolment(session: Session, actor: Actor, subject: Subject, site_code: str, *, now: datetime) -> None:
    """Records the enrolment in the audit trail."""
    detail: audit.Detail = {"site": site_code}
    audit.record(session, actor, "subject.enrol", now=now, subject_id=subject.id, detail=detail)


def _consent(subject: Subject, facts: EnrolmentFacts, now: datetime) -> Consent:
    return Consent(
        subject_id=subject.id,
        version=facts.consent_version,
        signed_on=_required_date(facts.consent_on),
        recorded_at=now,
    )
