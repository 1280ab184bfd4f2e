"""Closes, reopens and corrects the contacts of subjects.

Each change re-plans the subject's messages, so that unsent messages move to a channel that can be used.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.db import key_ring
from pro_tracker.domain.channels import ADDRESS_CHANNELS, Channel, address_channel, address_kind
from pro_tracker.domain.contact_state import CLOSED, ContactState, ContactStatus, merge
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts.addresses import ADDRESS_ERRORS, FIELDS, usable_address
from pro_tracker.services.planning import visits


def contact_hash(channel: Channel, address: str) -> bytes:
    """Returns the keyed hash that finds an address again, whatever its spelling."""
    normalised = _normalised(channel, address)
    return key_ring().lookup_hash(normalised, address_channel(channel))


def contact_hashes(channel: Channel, address: str) -> list[bytes]:
    """Returns the hashes that stored contacts with this address may have, one for each key."""
    return key_ring().lookup_hashes(_normalised(channel, address), address_channel(channel))


def new(subject_id: uuid.UUID, channel: Channel, address: str, *, now: datetime) -> Contact:
    """Builds an active contact for an address in its stored form; does not add it to a session."""
    contact = Contact(
        subject_id=subject_id,
        channel=channel,
        state=ContactState.ACTIVE,
        state_at=now,
    )
    _store_address(contact, channel, address)
    return contact


def replace_address(contact: Contact, address: str, *, now: datetime) -> None:
    """Gives the contact another address, in its stored form, which is active whatever became of the former one."""
    _store_address(contact, contact.channel, address)
    _mark_verified(contact, now)


def _store_address(contact: Contact, channel: Channel, address: str) -> None:
    contact.address = address
    contact.address_hash = contact_hash(channel, address)


def of_subject(session: Session, subject_id: uuid.UUID, channel: Channel) -> Contact | None:
    """Returns the subject's contact that this channel uses, with a row lock, or None."""
    rows = select(Contact).where(
        Contact.subject_id == subject_id,
        Contact.channel == address_channel(channel),
    )
    locked = rows.with_for_update()
    return session.scalar(locked, execution_options={"populate_existing": True})


def at_address(session: Session, channel: Channel, address: str) -> Sequence[Contact]:
    """Returns all contacts with this address, with row locks: a couple may share a telephone, and a subject may be
    the helper of another.
    """
    hashes: list[bytes] = []
    for own in ADDRESS_CHANNELS:
        if address_kind(own) == address_kind(channel):
            hashes.extend(contact_hashes(own, address))
    rows = select(Contact).where(Contact.address_hash.in_(hashes))  # the hash of an address differs by channel
    locked = rows.order_by(Contact.id).with_for_update()  # always in the same order, so that no deadlock occurs
    return session.scalars(locked, execution_options={"populate_existing": True}).all()


def close(session: Session, contact: Contact, state: ContactState, *, now: datetime, actor: Actor) -> None:
    """Closes a contact with one of the CLOSED states: no message uses it. Safe to repeat."""
    if state not in CLOSED:
        raise InvalidInput(f"A channel is closed as one of {', '.join(CLOSED)}.")
    closed = ContactStatus(state, now)
    apply_report(session, [contact], closed, now=now, actor=actor)


def apply_report(
    session: Session, affected: Iterable[Contact], reported: ContactStatus, *, now: datetime, actor: Actor
) -> None:
    """Applies a reported state to contacts, and re-plans those subjects whose contact changed.

    A report from before the address was verified, or weaker than the current state, changes nothing.
    """
    changed = [contact for contact in affected if _merge_state(session, contact, reported)]
    for contact in changed:
        visits.replan(session, contact.subject_id, now=now)
    reopens = reported.state == ContactState.ACTIVE
    for contact in changed:
        _record(session, contact, "contact.reopen" if reopens else "contact.close", now=now, actor=actor)


def reopen(session: Session, contact: Contact, *, now: datetime, actor: Actor) -> None:
    """Reopens a closed contact at the request of staff or the subject; earlier reports no longer count.

    Raises InvalidInput when the contact is active.
    """
    _lock(session, contact)
    if contact.state == ContactState.ACTIVE:
        raise InvalidInput("This address is in use already.")
    _mark_verified(contact, now)
    visits.replan(session, contact.subject_id, now=now)
    _record(session, contact, "contact.reopen", now=now, actor=actor)


def acknowledge(session: Session, contact: Contact, *, now: datetime, actor: Actor) -> None:
    """Records that staff have seen the closed contact and leave it closed. Safe to repeat."""
    _lock(session, contact)
    is_closed = contact.state != ContactState.ACTIVE
    if is_closed and contact.acknowledged_at is None:
        contact.acknowledged_at = now
        _record(session, contact, "contact.acknowledge", now=now, actor=actor)


def correct(
    session: Session, subject: Subject, addresses: Mapping[Channel, str], *, now: datetime, actor: Actor
) -> None:
    """Replaces the subject's addresses by channel, and re-plans; "" deletes one, an equal address is unchanged.

    Raises InvalidInput with the field "email" or "mobile" for an address that is not valid.
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
    spelling = usable_address(channel, address) or address
    return spelling.casefold()


def _merge_state(session: Session, contact: Contact, reported: ContactStatus) -> bool:
    """Merges a report into the contact; returns whether its state changed."""
    _lock(session, contact)
    known = ContactStatus(contact.state, contact.state_at)
    is_outdated = contact.verified_at is not None and reported.at < contact.verified_at
    if is_outdated or merge(known, reported) == known:
        return False
    contact.state = reported.state
    contact.state_at = reported.at
    if reported.state == known.state:
        return False
    contact.acknowledged_at = None
    return True


def _validated(channel: Channel, text: str) -> str:
    address = usable_address(channel, text) if text else ""
    if address is None:
        raise InvalidInput(ADDRESS_ERRORS[address_kind(channel)], field=FIELDS[channel])
    return address


def _set_address(session: Session, subject: Subject, channel: Channel, address: str, now: datetime) -> bool:
    """Adds, replaces or deletes the address of one channel; returns whether anything changed."""
    contact = of_subject(session, subject.id, channel)
    if address == (contact.address if contact else ""):
        return False
    if contact is None:
        session.add(new(subject.id, channel, address, now=now))
    elif not address:
        session.delete(contact)
    else:
        replace_address(contact, address, now=now)
    return True


def _mark_verified(contact: Contact, now: datetime) -> None:
    contact.state = ContactState.ACTIVE
    contact.state_at = now
    contact.verified_at = now
    contact.acknowledged_at = None


def _lock(session: Session, contact: Contact) -> None:
    session.refresh(contact, with_for_update=True)


def _record(session: Session, contact: Contact, action: str, *, now: datetime, actor: Actor) -> None:
    detail: audit.Detail = {
        "channel": contact.channel,
        "state": contact.state,
    }
    audit.record(session, actor, action, now=now, subject_id=contact.subject_id, detail=detail)
