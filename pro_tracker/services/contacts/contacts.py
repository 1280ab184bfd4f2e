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
from pro_tracker.domain.contact_state import CLOSED, ContactState, Standing, after
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts.addresses import FIELDS, UNUSABLE, usable_address
from pro_tracker.services.planning import visits


def contact_hash(channel: Channel, address: str) -> bytes:
    """The keyed hash under which an address is found again, however it is spelled."""
    return key_ring().lookup_hash(_spelling(channel, address), channel)


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
    hashes = key_ring().lookup_hashes(_spelling(channel, address), channel)
    rows = select(Contact).where(Contact.channel == channel, Contact.address_hash.in_(hashes)).order_by(Contact.id)
    return session.scalars(rows.with_for_update(), execution_options={"populate_existing": True}).all()


def close(session: Session, contact: Contact, state: ContactState, *, now: datetime, actor: Actor) -> None:
    """Send nothing more to this address, whose new state says why. Safe to repeat."""
    if state not in CLOSED:
        raise InvalidInput(f"A channel is closed as one of {', '.join(CLOSED)}.")
    hear(session, [contact], Standing(state, now), now=now, actor=actor)


def hear(session: Session, told: Iterable[Contact], news: Standing, *, now: datetime, actor: Actor) -> None:
    """Take in news of `news.at`. What is older than the address, or less than what is known of it, changes nothing."""
    changed = [contact for contact in told if _take_in(session, contact, news)]
    for contact in changed:
        visits.replan(session, contact.subject_id, now=now)
    for contact in changed:
        _record(
            session,
            contact,
            "contact.reopen" if news.state == ContactState.ACTIVE else "contact.close",
            now=now,
            actor=actor,
        )


def reopen(session: Session, contact: Contact, *, now: datetime, actor: Actor) -> None:
    """Use the address again, on the word of whoever asks. News from before count no more. Raises InvalidInput."""
    _lock(session, contact)
    if contact.state == ContactState.ACTIVE:
        raise InvalidInput("This address is in use already.")
    _vouch(contact, now)
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
    usable = {channel: _usable(channel, text.strip()) for channel, text in addresses.items()}
    changed = [channel for channel, address in usable.items() if _put(session, subject, channel, address, now)]
    if not changed:
        return
    session.flush()
    session.expire(subject, ["contacts"])
    visits.replan(session, subject.id, now=now)
    detail: audit.Detail = {"channels": changed}
    audit.record(session, actor, "contact.correct", now=now, subject_id=subject.id, detail=detail)


def _spelling(channel: Channel, address: str) -> str:
    return (usable_address(channel, address) or address).casefold()


def _take_in(session: Session, contact: Contact, news: Standing) -> bool:
    """Whether the channel is another way now: open or closed, or closed for another reason."""
    _lock(session, contact)
    known = Standing(contact.state, contact.state_at)
    if (contact.vouched_at is not None and news.at < contact.vouched_at) or after(known, news) == known:
        return False
    contact.state, contact.state_at = news.state, news.at
    if news.state == known.state:
        return False
    contact.acknowledged_at = None
    return True


def _usable(channel: Channel, text: str) -> str:
    address = usable_address(channel, text) if text else ""
    if address is None:
        raise InvalidInput(UNUSABLE[channel], field=FIELDS[channel])
    return address


def _put(session: Session, subject: Subject, channel: Channel, address: str, now: datetime) -> bool:
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
        _vouch(contact, now)
    return True


def _vouch(contact: Contact, now: datetime) -> None:
    contact.state, contact.state_at, contact.vouched_at, contact.acknowledged_at = ContactState.ACTIVE, now, now, None


def _lock(session: Session, contact: Contact) -> None:
    session.refresh(contact, with_for_update=True)


def _record(session: Session, contact: Contact, action: str, *, now: datetime, actor: Actor) -> None:
    detail: audit.Detail = {"channel": contact.channel, "state": contact.state}
    audit.record(session, actor, action, now=now, subject_id=contact.subject_id, detail=detail)
