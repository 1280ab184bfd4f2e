"""The helper whom a subject trusts: recorded with the subject's agreement, corrected, and removed.

A helper is reminded on the channel `helper`, and is never asked anything: see domain/channels.py.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.orm import Session

from pro_tracker.domain import plausible_dates
from pro_tracker.domain.channels import AddressKind, Channel
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.helper_codes import HelperEnding
from pro_tracker.domain.message_codes import EndReason
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts import contacts
from pro_tracker.services.contacts.addresses import ADDRESS_ERRORS, usable_email
from pro_tracker.services.planning import planned_messages, subject_lock, visits

MAX_RELATION = 60  # characters: "daughter", "neighbour, has a key"


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperFacts:
    """A helper: mail address, who it is in a few words, and the day on which the subject agreed (local to them)."""

    email: str = ""
    relation: str = ""
    agreed_on: date | None = None


def of(subject: Subject) -> HelperFacts:
    """Returns what is recorded of the subject's helper; empty facts without one."""
    helper = subject.helper
    if helper is None:
        return HelperFacts()
    return HelperFacts(email=helper.address, relation=helper.relation, agreed_on=helper.agreed_on)


def record(session: Session, subject: Subject, facts: HelperFacts, *, now: datetime, actor: Actor) -> None:
    """Records the helper whom the subject agreed to, or corrects the one on file, and re-plans.

    Equal facts change nothing. A new address is used at once, even if the former one was closed.
    Raises InvalidInput with its field for facts that are missing or cannot be true, and for a subject who is not asked.
    """
    subject_lock.lock(session, subject)
    facts = _checked(subject, facts, now)
    former = of(subject)
    if facts == former:
        return
    _store(session, subject, facts, now)
    session.flush()
    session.expire(subject, ["contacts"])
    visits.replan(session, subject.id, now=now)
    agreed: audit.Detail = {"agreed_on": facts.agreed_on.isoformat() if facts.agreed_on else None}
    if former.email:
        detail = {**agreed, "fields": _changed(former, facts)}
        audit.record(session, actor, "helper.correct", now=now, subject_id=subject.id, detail=detail)
    else:
        audit.record(session, actor, "helper.record", now=now, subject_id=subject.id, detail=agreed)


def remove(session: Session, subject: Subject, reason: HelperEnding, *, now: datetime, actor: Actor) -> None:
    """Deletes the helper's contact and ends the messages planned for it. Raises InvalidInput without a helper."""
    subject_lock.lock(session, subject)
    helper = subject.helper
    if helper is None:
        raise InvalidInput("No helper is on file. Someone may have removed the entry meanwhile.")
    session.delete(helper)
    session.flush()
    session.expire(subject, ["contacts"])
    planned_messages.end_on(session, subject.id, Channel.HELPER, EndReason.NO_CONTACT)
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "helper.remove", now=now, subject_id=subject.id, detail={"reason": reason})


def _checked(subject: Subject, facts: HelperFacts, now: datetime) -> HelperFacts:
    """Returns the facts as they are stored. Raises InvalidInput."""
    if not subject.takes_part:
        raise InvalidInput("This patient is not asked any more, so nobody is reminded.")
    return HelperFacts(
        email=_checked_email(subject, facts.email),
        relation=_checked_relation(facts.relation),
        agreed_on=_checked_day(facts.agreed_on, local_date(now, subject.time_zone)),
    )


def _checked_email(subject: Subject, typed: str) -> str:
    address = usable_email(typed.strip())
    if address is None:
        raise InvalidInput(ADDRESS_ERRORS[AddressKind.EMAIL], field="email")
    if any(address.casefold() == own.address.casefold() for own in subject.own_contacts):
        raise InvalidInput("This is the patient's own address. Enter the helper's.", field="email")
    return address


def _checked_relation(typed: str) -> str:
    relation = typed.strip()
    if not relation:
        raise InvalidInput("Say who it is, such as: daughter.", field="relation")
    if len(relation) > MAX_RELATION:
        raise InvalidInput(f"Use {MAX_RELATION} characters at most.", field="relation")
    return relation


def _checked_day(agreed_on: date | None, today: date) -> date:
    if agreed_on is None:
        raise InvalidInput("Enter the day on which the patient agreed.", field="agreed_on")
    if agreed_on > today:
        raise InvalidInput("This day is still to come. Enter the day on which the patient agreed.", field="agreed_on")
    plausible_dates.check(agreed_on, today, field="agreed_on")
    return agreed_on


def _store(session: Session, subject: Subject, facts: HelperFacts, now: datetime) -> None:
    helper = contacts.of_subject(session, subject.id, Channel.HELPER)
    if helper is None:
        helper = contacts.new(subject.id, Channel.HELPER, facts.email, now=now)
        session.add(helper)
    elif helper.address != facts.email:
        contacts.replace_address(helper, facts.email, now=now)
    _describe(helper, facts)


def _describe(helper: Contact, facts: HelperFacts) -> None:
    helper.relation = facts.relation
    helper.agreed_on = facts.agreed_on


def _changed(former: HelperFacts, facts: HelperFacts) -> list[str]:
    names = ("email", "relation", "agreed_on")
    return [f"helper_{name}" for name in names if getattr(former, name) != getattr(facts, name)]
