"""One-click unsubscribing from mail (RFC 8058). The pages are in web/patient/unsubscribing.py.

The URL is the personal link of the mail plus a tag of the mail address, so nothing is stored for it. The link token
identifies the subject; the tag is the start of the address's keyed hash. A mail that went to a wrong address therefore
does not unsubscribe the address that replaced it.
"""

import hmac
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.models.link import Link
from pro_tracker.models.subject import Contact
from pro_tracker.models.visit import Visit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic.person import RECORD
from pro_tracker.services.contacts import contacts

TAG_BYTES = 6  # distinguishes the few addresses that one subject ever has


def unsubscribe_url(link_url: str, contact: Contact) -> str:
    """Returns the unsubscribe URL of a contact, for the List-Unsubscribe header of a mail with this personal link."""
    return f"{link_url}/stop/{address_tag(contact)}"


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
