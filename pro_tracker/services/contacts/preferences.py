"""The preferences of a subject for messages and pages: channel, language, time of day, time zone and label."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, time

from sqlalchemy.orm import Session

from pro_tracker.domain.channels import PREFERABLE_CHANNELS, Channel, address_kind
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.subject_labels import MAX_LENGTH
from pro_tracker.languages import patient_languages
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts.addresses import NEEDS_ADDRESS, time_zones
from pro_tracker.services.planning import visits


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Preferences, named as their columns of Subject.

    `message_time` is local; None: the time of the protocol. `label`: "" for the end of the study code.
    """

    preferred_channel: Channel
    language: str
    message_time: time | None
    time_zone: str
    label: str = ""


# In messages, too: other letters would make a text message take more segments.
PLAIN_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 -]*[A-Za-z0-9])?")
MAX_DIGITS = 4  # a birth date or a telephone number has more


def for_subject(subject: Subject) -> Preferences:
    """Returns the stored preferences of a subject."""
    return Preferences(
        preferred_channel=subject.preferred_channel,
        language=subject.language,
        message_time=subject.message_time,
        time_zone=subject.time_zone,
        label=subject.label,
    )


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
    allowed_values: Mapping[str, Collection[str]] = {
        "preferred_channel": PREFERABLE_CHANNELS,
        "language": patient_languages(),
    }
    for field, allowed in allowed_values.items():
        if getattr(requested, field) not in allowed:
            raise InvalidInput(f"Choose one of {', '.join(allowed)}.", field=field)
    if requested.time_zone not in time_zones():
        raise InvalidInput("This is no time zone of the IANA list. It looks like America/New_York.", field="time_zone")
    if requested.label != subject.label:
        _check_label(subject, requested.label)
    if requested.preferred_channel != subject.preferred_channel:
        _check_contact(subject, requested.preferred_channel)


def _check_label(subject: Subject, label: str) -> None:
    """Raises InvalidInput for a label that is too long, cannot be shown, or shows who the subject is."""
    if len(label) > MAX_LENGTH:
        raise InvalidInput(f"Use {MAX_LENGTH} characters at most.", field="label")
    if label and not PLAIN_LABEL.fullmatch(label):
        raise InvalidInput("Use letters without accents, digits, spaces and hyphens only.", field="label")
    if sum(sign.isdigit() for sign in label) > MAX_DIGITS or names_subject(subject, label):
        raise InvalidInput("The label must not show who the patient is: it stands in messages, too.", field="label")


def names_subject(subject: Subject, label: str) -> bool:
    """Returns whether the label holds a name or the record number of the subject, with or without accents."""
    identity = subject.identity
    names = [name for name in identity.full_name.split() if len(name) > 1]  # an initial is in many words
    return any(_folded(part) in _folded(label) for part in (*names, identity.record_number))


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign)).casefold()


def _check_contact(subject: Subject, channel: Channel) -> None:
    """Raises InvalidInput when the subject has no contact of this channel."""
    channels = {contact.channel for contact in subject.contacts}
    if channel not in channels:
        raise InvalidInput(NEEDS_ADDRESS[address_kind(channel)], field="preferred_channel")
