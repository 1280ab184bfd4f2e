"""What providers report after a message was handed over, and what people text back: kept, and acted on.

Reports may come twice, in any order, and before our own note that the provider took the message. What follows from
them hangs on the set of them alone (domain/receipts.py, domain/contact_state.py).
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.contact_state import ACTIVE, Standing
from pro_tracker.domain.receipts import DELIVERED, HELP, OTHER, START, STATES, STOP, decisive
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.receipt import Receipt
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services import contacts, message_texts
from pro_tracker.services.audit import Actor
from pro_tracker.services.upsert import insert_into

UNMATCHED_FOR = timedelta(days=3)  # after this a report of a message that we do not know is not looked at again
SETTLED_AT_ONCE = 500
REPLIES = {STOP: "sms-stopped", START: "sms-started", HELP: "sms-help", OTHER: "sms-help"}
ANSWERED_AGAIN_AFTER = timedelta(days=1)  # what is no known word: two machines must not talk to each other for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One event as a provider tells it. Names a message by our key or the provider's id, or an address, or both."""

    provider: str
    event_id: str
    channel: str
    event: str
    at: datetime
    message_key: uuid.UUID | None = None
    provider_id: str | None = None
    address: str | None = None
    code: str | None = None


def take(session: Session, report: Report, *, now: datetime) -> bool:
    """Keep the report and act on it; False, and nothing else, when it came before."""
    receipt_id = session.scalar(
        insert_into(session, Receipt, _row(report, now))
        .on_conflict_do_nothing(index_elements=["provider", "event_id"])
        .returning(Receipt.id)
    )
    if receipt_id is None:
        return False
    receipt = session.get_one(Receipt, receipt_id)
    if report.address is not None:
        _tell(session, contacts.at_address(session, report.channel, report.address), receipt, now)
    _settle(session, receipt, now)
    return True


def settle(session: Session, *, now: datetime) -> int:
    """Act on the reports whose message was not known or still at hand when they came; returns how many were settled."""
    waiting = select(Receipt).where(Receipt.settled_at.is_(None), Receipt.received_at > now - UNMATCHED_FOR)
    rows = waiting.order_by(Receipt.received_at).limit(SETTLED_AT_ONCE).with_for_update(skip_locked=True)
    return sum([_settle(session, receipt, now) for receipt in session.scalars(rows).all()])


def unmatched(session: Session, *, now: datetime) -> int:
    """How many reports have named a message for an hour that is not known here."""
    rows = select(func.count()).where(Receipt.settled_at.is_(None), Receipt.message_id.is_(None))
    return session.scalar(rows.where(Receipt.received_at < now - timedelta(hours=1))) or 0


def reply(session: Session, report: Report, *, now: datetime) -> str | None:
    """What to answer to a text message that was taken; None to a stranger, and not twice a day to words unknown."""
    known = contacts.at_address(session, report.channel, report.address or "")
    if report.event not in REPLIES or not known or (report.event == OTHER and _answered_before(session, report, now)):
        return None
    closed = report.event == START and known[0].state != ACTIVE  # it bounced, or staff know that it is somebody else's
    of_first = select(Subject.language, Site.name, Site.phone).join(Site, Site.id == Subject.site_id)
    language, clinic, phone = session.execute(of_first.where(Subject.id == known[0].subject_id)).one()
    return message_texts.reply(REPLIES[HELP if closed else report.event], language=language, clinic=clinic, phone=phone)


def _row(report: Report, now: datetime) -> dict[str, object]:
    return {
        "provider": report.provider,
        "event_id": report.event_id,
        "channel": report.channel,
        "event": report.event,
        "code": report.code,
        "message_key": report.message_key,
        "provider_id": report.provider_id,
        "address_hash": contacts.contact_hash(report.channel, report.address) if report.address else None,
        "at": report.at,
        "received_at": now,
    }


def _settle(session: Session, receipt: Receipt, now: datetime) -> bool:
    """Whether all that follows from it is done: not while its message is unknown, or in the hands of its sender."""
    if receipt.message_id is None:
        receipt.message_id = _message_id(session, receipt)
    if receipt.message_id is not None:
        _tell(session, _contacts_of(session, receipt), receipt, now)
        session.flush()
        settled = _conclude(session, receipt.message_id)
    else:
        settled = receipt.message_key is None and receipt.provider_id is None
    receipt.settled_at = now if settled else None
    return settled


def _message_id(session: Session, receipt: Receipt) -> int | None:
    if receipt.message_key is not None:
        return session.scalar(select(Message.id).where(Message.key == receipt.message_key))
    if receipt.provider_id is None:
        return None
    rows = select(Message.id).join(Attempt, Attempt.message_id == Message.id)
    return session.scalar(rows.where(Attempt.provider_id == receipt.provider_id, Message.channel == receipt.channel))


def _contacts_of(session: Session, receipt: Receipt) -> Sequence[Contact]:
    """Everybody's contact at the address that the message went to; none when it was corrected since."""
    rows = (
        select(Message.subject_id, Message.channel, Attempt.started_at)
        .join(Attempt)
        .where(Message.id == receipt.message_id)
    )
    this_one_first = case((Attempt.provider_id == receipt.provider_id, 0), else_=1)
    sent = session.execute(rows.order_by(this_one_first, Attempt.started_at.desc()).limit(1)).one_or_none()
    contact = contacts.of_subject(session, sent.subject_id, sent.channel) if sent else None
    if sent is None or contact is None or (contact.vouched_at is not None and sent.started_at < contact.vouched_at):
        return []
    return contacts.at_address(session, contact.channel, contact.address)


def _tell(session: Session, told: Iterable[Contact], receipt: Receipt, now: datetime) -> None:
    state = STATES.get(receipt.event)
    if state is None:
        return
    actor = Actor("service", f"webhooks.{receipt.provider}")
    for contact in told:
        contacts.hear(session, contact, Standing(state, receipt.at), now=now, actor=actor)


def _conclude(session: Session, message_id: int) -> bool:
    """Write what all reports together say became of the message; False while its sender has it."""
    message = session.get_one(Message, message_id, with_for_update=True, populate_existing=True)
    if message.state == "claimed":
        return False
    rows = select(Receipt.event, Receipt.code).where(Receipt.message_id == message_id)
    reports = session.execute(rows.order_by(Receipt.at, Receipt.event_id)).all()
    event = decisive({report.event for report in reports})
    if event == DELIVERED and message.state != "sent":
        _write(message, "sent", sent_at=_left_at(session, message_id), failure=None)
    elif event is not None and event != DELIVERED:
        code = next((report.code for report in reports if report.event == event and report.code), None)
        _write(message, "failed", sent_at=None, failure=f"{event} {code}" if code else event)
    return True


def _write(message: Message, state: str, *, sent_at: datetime | None, failure: str | None) -> None:
    message.state, message.sent_at, message.failure, message.end_reason = state, sent_at, failure, None


def _left_at(session: Session, message_id: int) -> datetime:
    """When the message left, as its sender would have noted: at the answer, or at the attempt that got none."""
    rows = select(Attempt).where(Attempt.message_id == message_id).order_by(Attempt.number.desc()).limit(1)
    last = session.scalars(rows).one()
    return last.finished_at if last.outcome == "accepted" and last.finished_at else last.started_at


def _answered_before(session: Session, report: Report, now: datetime) -> bool:
    """Whether another unknown word came from there within the day."""
    sender = contacts.contact_hash(report.channel, report.address or "")
    rows = select(func.count()).where(Receipt.address_hash == sender, Receipt.event == OTHER)
    return (session.scalar(rows.where(Receipt.received_at > now - ANSWERED_AGAIN_AFTER)) or 0) > 1
