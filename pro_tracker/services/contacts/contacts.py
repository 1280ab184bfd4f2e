"""Addresses of subjects: close a channel that must not be used, open it again, correct an address.

Each change plans the subject's messages anew, so that what is still to come goes by the other channel.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.db import key_ring
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import CLOSED, ContactState, ContactStatus, merge
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts.addresses import ADDRESS_ERRORS, FIELDS, usable_address
from pro_tracker.services.planning import visits


def contact_hash(channel: Channel, address: str) -> bytes:
    """The keyed hash under which an address is found again, however it is spelled."""
    return key_ring().lookup_hash(_normalised(channel, address), channel)


def new(subject_id: uuid.UUID, channel: Channel, address: str, *, now: datetime) -> Contact:
    """A contact for an address in its usable form."""
    contact = Contact(subject_id=subject_id, channel=channel, state=ContactState.ACTIVE, state_at=now)
    contact.address, contact.address_hash = address, contact_hash(channel, address)
    return contact


def of_subject(session: Session, subject_id: uuid.UUID, channel: Channel) -> Contact | None:
    """The subject's contact on this channel, locked: whoever else changes it waits."""
    rows = select(Contact).where(Contact.subject_id == subject_id, Contact.channel == channel).with_for_update()
    return session.scalar(rows, execution_options={"populate_existing": True})


def at_address(session: Session, channel: Channel, address: str) -> Sequence[Contact]:
    """Everybody's contact at this address, locked: a couple may share a telephone."""
    hashes = key_ring().lookup_hashes(_normalised(channel, address), channel)
    rows = select(Contact).where(Contact.channel == channel, Contact.address_hash.in_(hashes)).order_by(Contact.id)
    return session.scalars(rows.with_for_update(), execution_options={"populate_existing": True}).all()


def close(session: Session, contact: Contact, state: ContactState, *, now: datetime, actor: Actor) -> None:
    """Send nothing more to this address, whose new state says why. Safe to repeat."""
    if state not in CLOSED:
        raise InvalidInput(f"A channel is closed as one of {', '.join(CLOSED)}.")
    apply_report(session, [contact], ContactStatus(state, now), now=now, actor=actor)


def apply_report(
    session: Session, affected: Iterable[Contact], reported: ContactStatus, *, now: datetime, actor: Actor
) -> None:
    """Take in news of `news.at`. What is older than the address, or less than what is known of it, changes nothing."""
    changed = [contact for contact in affected if _merge_state(session, contact, reported)]
    for contact in changed:
        visits.replan(session, contact.subject_id, now=now)
    for contact in changed:
        _record(
            session,
            contact,
            "contact.reopen" if reported.state == ContactState.ACTIVE else "contact.close",
            now=now,
            actor=actor,
        )


def reopen(session: Session, contact: Contact, *, now: datetime, actor: Actor) -> None:
    """Use the address again, on the word of whoever asks. News from before count no more. Raises InvalidInput."""
    _lock(session, contact)
    if contact.state == ContactState.ACTIVE:
        raise InvalidInput("This address is in use already.")
    _mark_verified(contact, now)
    visits.replan(session, contact.subject_id, now=now)
    _record(session, contact, "contact.reopen", now=now, actor=actor)


def acknowledge(session: Session, contact: Contact, *, now: datetime, actor: Actor) -> None:
    """Somebody has seen that this channel is closed, and it shall stay so."""
    _lock(session, contact)
    if contact.state != ContactState.ACTIVE and contact.acknowledged_at is None:
        contact.acknowledged_at = now
        _record(session, contact, "contact.acknowledge", now=now, actor=actor)


def correct(
    session: Session, subject: Subject, addresses: Mapping[Channel, str], *, now: datetime, actor: Actor
) -> None:
    """Put these addresses by channel in place of those on file; "" takes one away, what is the same stays as it is.

    Raises InvalidInput whose field is "email" or "mobile" when no message can be sent to one of them.
    """
    usable = {channel: _validated(channel, text.strip()) for channel, text in addresses.items()}
    changed = [channel for channel, address in usable.items() if _set_address(session, subject, channel, address, now)]
    if not changed:
        return
    session.flush()
    session.expire(subject, ["contacts"])
    visits.replan(session, subject.id, now=now)
    detail: audit.Detail = {"channels": changed}
    audit.record(session, actor, "contact.correct", now=now, subject_id=subject.id, detail=detail)


def _normalised(channel: Channel, address: str) -> str:
    return (usable_address(channel, address) or address).casefold()


def _merge_state(session: Session, contact: Contact, reported: ContactStatus) -> bool:
    """Whether the channel is another way now: open or closed, or closed for another reason."""
    _lock(session, contact)
    known = ContactStatus(contact.state, contact.state_at)
    if (contact.verified_at is not None and reported.at < contact.verified_at) or merge(known, reported) == known:
        return False
    contact.state, contact.state_at = reported.state, reported.at
    if reported.state == known.state:
        return False
    contact.acknowledged_at = None
    return True


def _validated(channel: Channel, text: str) -> str:
    address = usable_address(channel, text) if text else ""
    if address is None:
        raise InvalidInput(ADDRESS_ERRORS[channel], field=FIELDS[channel])
    return address


def _set_address(session: Session, subject: Subject, channel: Channel, address: str, now: datetime) -> bool:
    """Whether anything changed."""
    contact = of_subject(session, subject.id, channel)
    if address == (contact.address if contact else ""):
        return False
    if contact is None:
        session.add(new(subject.id, channel, address, now=now))
    elif not address:
        session.delete(contact)
    else:
        contact.address, contact.address_hash = address, contact_hash(channel, address)
        _mark_verified(contact, now)
    return True


def _mark_verified(contact: Contact, now: datetime) -> None:
    contact.state, contact.state_at, contact.verified_at, contact.acknowledged_at = ContactState.ACTIVE, now, now, None


def _lock(session: Session, contact: Contact) -> None:
    session.refresh(contact, with_for_update=True)


def _record(session: Session, contact: Contact, action: str, *, now: datetime, actor: Actor) -> None:
    detail: audit.Detail = {"channel": contact.channel, "state": contact.state}
    audit.record(session, actor, action, now=now, subject_id=contact.subject_id, detail=detail)
