"""Unsubscribing an address from mails with one click (RFC 8058). The pages: web/patient/unsubscribing.py.

The address of it is the mail's own personal link with a mark of the mail address: nothing new is stored, and no key is
needed to make or check it. The link's token, of which only the hash is kept, says whose mail it was. The mark is the
beginning of the mail address's keyed hash, so a mail that went to a wrong address does not close the one that
staff put in its place.
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
from pro_tracker.services.contacts import contacts

TAG_BYTES = 6  # enough to tell the two or three addresses apart that one person ever had


def unsubscribe_url(link_url: str, contact: Contact) -> str:
    """Where mails to this contact are ended by whoever has the link."""
    return f"{link_url}/stop/{address_tag(contact)}"


def address_tag(contact: Contact) -> str:
    """What tells this address from another of the same person, and nothing to anybody else."""
    return contact.address_hash[:TAG_BYTES].hex()


def unsubscribe(session: Session, link_id: int, tag: str, *, now: datetime) -> None:
    """Close the e-mail channel of the person behind the link, if it still leads to the address marked so.

    Works for links that are over or replaced, and can be repeated.
    """
    subject_id = select(Visit.subject_id).join(Link, Link.visit_id == Visit.id).where(Link.id == link_id)
    mails = select(Contact).where(Contact.subject_id == subject_id.scalar_subquery(), Contact.channel == Channel.EMAIL)
    contact = session.scalar(mails)
    if contact is not None and hmac.compare_digest(address_tag(contact).encode(), tag.encode()):
        contacts.close(session, contact, ContactState.STOPPED, now=now, actor=Actor(ActorKind.PATIENT, str(link_id)))
