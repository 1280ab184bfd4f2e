"""The preferences of a subject for messages: channel, language, time of day and time zone."""

from dataclasses import dataclass, fields
from datetime import datetime, time

from sqlalchemy.orm import Session

from pro_tracker.domain.channels import ADDRESS_CHANNELS, Channel, address_kind
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.languages import LANGUAGES
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts.addresses import NEEDS_ADDRESS, time_zones
from pro_tracker.services.planning import visits


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Preferences, named as their columns of Subject. `message_time` is local; None: the time of the protocol."""

    preferred_channel: Channel
    language: str
    message_time: time | None
    time_zone: str


def for_subject(subject: Subject) -> Preferences:
    """Returns the stored preferences of a subject."""
    return Preferences(**{field.name: getattr(subject, field.name) for field in fields(Preferences)})


def change(session: Session, subject: Subject, requested: Preferences, *, now: datetime, actor: Actor) -> None:
    """Stores the changed preferences and re-plans; equal preferences change nothing.

    Raises InvalidInput with its field for a value that is not allowed.
    """
    # FOR NO KEY UPDATE, since planning inserts rows with a foreign key to the subject.
    session.refresh(subject, with_for_update={"of": Subject, "key_share": True})
    _check(subject, requested)
    names = [field.name for field in fields(requested)]
    changed = [name for name in names if getattr(requested, name) != getattr(subject, name)]
    if not changed:
        return
    for name in changed:
        setattr(subject, name, getattr(requested, name))
    visits.replan(session, subject.id, now=now)
    detail: audit.Detail = {"fields": changed}
    audit.record(session, actor, "subject.prefer", now=now, subject_id=subject.id, detail=detail)


def _check(subject: Subject, requested: Preferences) -> None:
    for field, allowed in (("preferred_channel", ADDRESS_CHANNELS), ("language", LANGUAGES)):
        if getattr(requested, field) not in allowed:
            raise InvalidInput(f"Choose one of {', '.join(allowed)}.", field=field)
    if requested.time_zone not in time_zones():
        raise InvalidInput("This is no time zone of the IANA list. It looks like America/New_York.", field="time_zone")
    is_changed = requested.preferred_channel != subject.preferred_channel
    if is_changed and requested.preferred_channel not in {contact.channel for contact in subject.contacts}:
        raise InvalidInput(NEEDS_ADDRESS[address_kind(requested.preferred_channel)], field="preferred_channel")
