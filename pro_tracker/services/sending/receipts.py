"""What providers report after a message was handed over, and what people text back: kept, and acted on.

Reports may come twice, in any order, and before our own note that the provider took the message. What follows from
them hangs on the set of them alone (domain/receipts.py, domain/contact_state.py).
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, case, exists, func, or_, select
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState, Standing
from pro_tracker.domain.message_codes import MessageState, Outcome
from pro_tracker.domain.receipts import ReceiptEvent, contact_state, decisive
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.receipt import Receipt
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts import contacts
from pro_tracker.services.wording import message_texts

UNMATCHED_FOR = timedelta(days=3)  # after this a report of a message that we do not know is not looked at again
REPLIES = {
    ReceiptEvent.STOP: "sms-stopped",
    ReceiptEvent.START: "sms-started",
    ReceiptEvent.HELP: "sms-help",
    ReceiptEvent.OTHER: "sms-help",
}
ANSWERED_AGAIN_AFTER = timedelta(days=1)  # what is no known word: two machines must not talk to each other for ever

_ITS_CHANNEL = and_(Message.subject_id == Contact.subject_id, Message.channel == Contact.channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One event as a provider tells it. Names a message by our key or the provider's id, or an address, or both."""

    provider: str
    event_id: str
    channel: Channel
    event: ReceiptEvent
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
    told = contacts.at_address(session, report.channel, report.address) if report.address else ()
    _settle(session, session.get_one(Receipt, receipt_id), told, now)
    return True


def waiting(session: Session, *, now: datetime) -> Sequence[int]:
    """Ids of reports that came before their message was known or at rest, and can be acted on now."""
    at_rest = Message.state != MessageState.CLAIMED
    by_key = exists().where(Message.key == Receipt.message_key, at_rest)
    by_provider = exists().where(Attempt.provider_id == Receipt.provider_id, Message.id == Attempt.message_id, at_rest)
    rows = select(Receipt.id).where(Receipt.settled_at.is_(None), Receipt.received_at > now - UNMATCHED_FOR)
    return session.scalars(rows.where(or_(by_key, by_provider)).order_by(Receipt.received_at)).all()


def settle(session: Session, receipt_id: int, *, now: datetime) -> None:
    """Act on a report that had to wait. The caller commits after each: auditing makes others wait until then."""
    receipt = session.get_one(Receipt, receipt_id, with_for_update=True, populate_existing=True)
    if receipt.settled_at is None:
        _settle(session, receipt, (), now)


def unmatched(session: Session, *, now: datetime) -> int:
    """How many reports have named a message for an hour that is not known here."""
    rows = select(func.count()).where(Receipt.settled_at.is_(None), Receipt.message_id.is_(None))
    return session.scalar(rows.where(Receipt.received_at < now - timedelta(hours=1))) or 0


def reply(session: Session, report: Report, *, now: datetime) -> str | None:
    """What to answer to a text message that was taken; None to a stranger, and not twice a day to words unknown."""
    known = contacts.at_address(session, report.channel, report.address or "")
    if (
        report.event not in REPLIES
        or not known
        or (report.event == ReceiptEvent.OTHER and _answered_before(session, report, now))
    ):
        return None
    closed = (
        report.event == ReceiptEvent.START and known[0].state != ContactState.ACTIVE
    )  # it bounced, or staff know that it is somebody else's
    of_first = select(Subject.language, Site.name, Site.phone).join(Site, Site.id == Subject.site_id)
    language, clinic, phone = session.execute(of_first.where(Subject.id == known[0].subject_id)).one()
    return message_texts.reply(
        REPLIES[ReceiptEvent.HELP if closed else report.event], language=language, clinic=clinic, phone=phone
    )


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


def _settle(session: Session, receipt: Receipt, told: Iterable[Contact], now: datetime) -> None:
    """Do what follows, as far as it can be done: not for a message that is unknown, or in the hands of its sender."""
    receipt.message_id = receipt.message_id or _message_id(session, receipt)
    if (state := contact_state(receipt.event)) is not None:
        everybody = {contact.id: contact for contact in (*told, *_contacts_of(session, receipt))}
        actor = Actor(ActorKind.SERVICE, f"webhooks.{receipt.provider}")
        contacts.hear(session, everybody.values(), Standing(state, receipt.at), now=now, actor=actor)
    session.flush()
    names_one = receipt.message_key is not None or receipt.provider_id is not None
    settled = _conclude(session, receipt.message_id) if receipt.message_id is not None else not names_one
    receipt.settled_at = now if settled else None


def _message_id(session: Session, receipt: Receipt) -> int | None:
    by_key = select(Message.id).where(Message.key == receipt.message_key)
    if receipt.message_key is not None and (known := session.scalar(by_key)) is not None:
        return known
    rows = select(Message.id).join(Attempt, Attempt.message_id == Message.id).where(Message.channel == receipt.channel)
    by_provider = rows.where(Attempt.provider_id == receipt.provider_id)
    return session.scalar(by_provider.limit(1)) if receipt.provider_id is not None else None


def _contacts_of(session: Session, receipt: Receipt) -> Sequence[Contact]:
    """Everybody's contact at the address that the message went to; none when it was corrected since."""
    rows = (
        select(Contact, Attempt.started_at).join(Message, _ITS_CHANNEL).join(Attempt, Attempt.message_id == Message.id)
    )
    this_one_first = case((Attempt.provider_id == receipt.provider_id, 0), else_=1)
    newest = rows.where(Message.id == receipt.message_id).order_by(this_one_first, Attempt.started_at.desc()).limit(1)
    sent = session.execute(newest).one_or_none() if receipt.message_id is not None else None
    if sent is None or (sent.Contact.vouched_at is not None and sent.started_at < sent.Contact.vouched_at):
        return ()
    return contacts.at_address(session, sent.Contact.channel, sent.Contact.address)


def _conclude(session: Session, message_id: int) -> bool:
    """Write what all reports together say became of the message; False while its sender has it."""
    message = session.get_one(Message, message_id, with_for_update=True, populate_existing=True)
    if message.state == MessageState.CLAIMED:
        return False
    rows = select(Receipt.event, Receipt.code).where(Receipt.message_id == message_id)
    reports = session.execute(rows.order_by(Receipt.at, Receipt.event_id)).all()
    event = decisive({report.event for report in reports})
    if event == ReceiptEvent.DELIVERED and message.state != MessageState.SENT:
        _write(message, MessageState.SENT, sent_at=_left_at(session, message_id), failure=None)
    elif event is not None and event != ReceiptEvent.DELIVERED:
        code = next((report.code for report in reports if report.event == event and report.code), None)
        _write(message, MessageState.FAILED, sent_at=None, failure=f"{event} {code}" if code else event)
    return True


def _write(message: Message, state: MessageState, *, sent_at: datetime | None, failure: str | None) -> None:
    message.state, message.sent_at, message.failure, message.end_reason = state, sent_at, failure, None


def _left_at(session: Session, message_id: int) -> datetime:
    """When the message left, as its sender would have noted: at the answer, or at the attempt that got none."""
    rows = select(Attempt).where(Attempt.message_id == message_id).order_by(Attempt.number.desc()).limit(1)
    last = session.scalars(rows).one()
    return last.finished_at if last.outcome == Outcome.ACCEPTED and last.finished_at else last.started_at


def _answered_before(session: Session, report: Report, now: datetime) -> bool:
    """Whether another unknown word came from there within the day."""
    sender = contacts.contact_hash(report.channel, report.address or "")
    rows = select(func.count()).where(Receipt.address_hash == sender, Receipt.event == ReceiptEvent.OTHER)
    return (session.scalar(rows.where(Receipt.received_at > now - ANSWERED_AGAIN_AFTER)) or 0) > 1
