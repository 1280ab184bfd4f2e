"""Texts that patients send: stored encrypted for staff, who read them and mark them as dealt with.

What is only STOP, START or HELP has its effect (sending/delivery_reports.py) and is not stored.
"""

import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import NotFound
from pro_tracker.models.account import Account
from pro_tracker.models.delivery_report import DeliveryReport
from pro_tracker.models.incoming_text import IncomingText
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic.person import records_of

MAX_LENGTH = 1600  # characters, as many as gateways join to one text
UNKNOWN_TEXT = "There is no such text of this patient."


@dataclass(frozen=True, slots=True)
class TextEntry:
    """One text, and the name of the member of staff who dealt with it; "" as long as it waits."""

    incoming: IncomingText
    handled_by: str


def store(session: Session, report: DeliveryReport, senders: Iterable[Contact], written: str) -> None:
    """Stores the text of a report for each subject who may have sent it: for none, if the number is unknown."""
    subject_ids = {contact.subject_id for contact in senders}
    for subject_id in sorted(subject_ids):
        row = IncomingText(id=uuid.uuid4(), subject_id=subject_id, report_id=report.id, received_at=report.received_at)
        row.text = _readable(written)
        session.add(row)
        actor = Actor(ActorKind.SERVICE, f"webhooks.{report.provider}")
        audit.record(session, actor, "text.receive", now=report.received_at, subject_id=subject_id)


def of_subject(session: Session, subject: Subject) -> Sequence[TextEntry]:
    """Returns the texts of a person, those to deal with first, each part newest first."""
    rows = select(IncomingText, Account.display_name).outerjoin(Account, Account.id == IncomingText.handled_by_id)
    rows = rows.where(IncomingText.subject_id.in_(records_of(subject.id)))
    rows = rows.order_by(IncomingText.handled_at.is_not(None), IncomingText.received_at.desc(), IncomingText.id)
    return [TextEntry(incoming, name or "") for incoming, name in session.execute(rows)]


def handle(session: Session, account: Account, subject: Subject, text_id: uuid.UUID, *, now: datetime) -> None:
    """Marks a text as dealt with by this account. Safe to repeat: the first one stays. Raises NotFound."""
    rows = select(IncomingText).where(
        IncomingText.id == text_id,
        IncomingText.subject_id.in_(records_of(subject.id)),
    )
    found = session.scalar(rows.with_for_update(), execution_options={"populate_existing": True})
    if found is None:
        raise NotFound(UNKNOWN_TEXT)
    if found.handled_at is not None:
        return
    found.handled_at, found.handled_by_id = now, account.id
    actor = Actor(ActorKind.ACCOUNT, str(account.id))
    audit.record(session, actor, "text.handle", now=now, subject_id=found.subject_id)


def _readable(written: str) -> str:
    """Returns the text without control characters, some of which would turn the rest of a page around."""
    kept = (
        character for character in written if character == "\n" or unicodedata.category(character) not in ("Cc", "Cf")
    )
    return "".join(kept).strip()[:MAX_LENGTH]
