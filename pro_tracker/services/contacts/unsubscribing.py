"""One-click unsubscribing from mail (RFC 8058). The pages are in web/patient/unsubscribing.py.

The URL is the personal link of the mail plus a tag of the mail address, so nothing is stored for it. The link token
identifies the subject; the tag is the start of the address's keyed hash. A mail that went to a wrong address therefore
does not unsubscribe the address that replaced it.

A helper must not hold a token that leads to the questions. Their URL has the id of the contact, and a tag that is long
enough to authorise by itself.
"""

import hmac
import re
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import HELPER_CHANNELS, Channel, reaches_helper
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.models.link import Link
from pro_tracker.models.subject import Contact
from pro_tracker.models.visit import Visit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic.person import RECORD
from pro_tracker.services.contacts import contacts

TAG_BYTES = 6  # distinguishes the few addresses that one subject ever has
HELPER_TAG_BYTES = 16  # too many to guess
HELPER_CODE = re.compile(r"([0-9]{1,18})-([0-9a-f]{32})")


def unsubscribe_url(base_url: str, token: str, contact: Contact) -> str:
    """Returns the unsubscribe URL of a contact, for the List-Unsubscribe header of a mail with this link token."""
    if reaches_helper(contact.channel):
        return f"{base_url}/helper/{helper_code(contact)}/stop"
    return f"{base_url}/v/{token}/stop/{address_tag(contact)}"


def helper_code(contact: Contact) -> str:
    """Returns the code with which a helper's mails are ended: it leads to nothing else."""
    return f"{contact.id}-{_helper_tag(contact)}"


def by_helper_code(session: Session, code: str) -> Contact | None:
    """Returns the contact of the helper with this code; None if it was removed, or has another address since.

    A helper who was removed and named again has another contact, which the code of earlier mails ends as well: unless
    several patients named the person, since the code does not say which of them was meant.
    """
    parts = HELPER_CODE.fullmatch(code)
    if parts is None:
        return None
    contact = session.get(Contact, int(parts[1]))
    if contact is not None and reaches_helper(contact.channel) and _has_tag(contact, parts[2]):
        return contact
    return _only_helper_at(session, bytes.fromhex(parts[2]))


def _has_tag(contact: Contact, tag: str) -> bool:
    return hmac.compare_digest(_helper_tag(contact).encode(), tag.encode())


def _only_helper_at(session: Session, tag: bytes) -> Contact | None:
    """Returns the helper's contact whose address has this tag; None for none, and for several."""
    last = tag + b"\xff" * HELPER_TAG_BYTES
    rows = select(Contact).where(Contact.address_hash.between(tag, last), Contact.channel.in_(HELPER_CHANNELS))
    found = session.scalars(rows.limit(2)).all()
    return found[0] if len(found) == 1 else None


def _helper_tag(contact: Contact) -> str:
    return contact.address_hash[:HELPER_TAG_BYTES].hex()


def unsubscribe_helper(session: Session, contact: Contact, *, now: datetime) -> None:
    """Closes a helper's contact at the helper's request. Safe to repeat."""
    actor = Actor(ActorKind.SERVICE, "helper")
    contacts.close(session, contact, ContactState.STOPPED, now=now, actor=actor)


def address_tag(contact: Contact) -> str:
    """Returns a hex tag that distinguishes the address from others of the same subject, without revealing it."""
    return contact.address_hash[:TAG_BYTES].hex()


def unsubscribe(session: Session, link_id: int, tag: str, *, now: datetime) -> None:
    """Closes the mail contact of the link's subject, if `tag` is the tag of its current address.

    Works with expired and replaced links. Safe to repeat.
    """
    subject_id = select(RECORD.person_id).join(Visit, Visit.subject_id == RECORD.id)
    subject_id = subject_id.join(Link, Link.visit_id == Visit.id)
    subject_id = subject_id.where(Link.id == link_id)
    mail_contact = select(Contact).where(
        Contact.subject_id == subject_id.scalar_subquery(),
        Contact.channel == Channel.EMAIL,
    )
    contact = session.scalar(mail_contact)
    if contact is None:
        return
    current_tag = address_tag(contact)
    if hmac.compare_digest(current_tag.encode(), tag.encode()):
        actor = Actor(ActorKind.PATIENT, str(link_id))
        contacts.close(session, contact, ContactState.STOPPED, now=now, actor=actor)
