"""Delivery reports of providers, and text messages that people send back: stored, and acted on.

What people write beyond a keyword is kept for staff (contacts/incoming_texts.py).

Reports may come twice, in any order, and before the attempt they are about is recorded. Their effect depends on the
set of them alone (domain/delivery_reports.py, domain/contact_state.py).
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Row, case, exists, func, or_, select
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState, ContactStatus
from pro_tracker.domain.delivery_reports import ReportEvent, contact_state, final_event, is_for_staff
from pro_tracker.domain.message_codes import MessageState, SendOutcome
from pro_tracker.models.delivery_report import DeliveryReport
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts import contacts, incoming_texts
from pro_tracker.services.sending import attempts
from pro_tracker.services.wording import message_texts, text_keywords

UNMATCHED_FOR = timedelta(days=3)  # then a report that names an unknown message is not looked at again
REPLIES = {
    ReportEvent.STOP: "sms-stopped",
    ReportEvent.START: "sms-started",
    ReportEvent.HELP: "sms-help",
    ReportEvent.OTHER: "sms-help",
}
REPLY_AGAIN_AFTER = timedelta(days=1)  # to other words, so that two machines do not answer each other without end


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedEvent:
    """One event as a provider reports it. Names a message by our key or the provider's id, or an address, or both."""

    provider: str
    event_id: str
    channel: Channel
    event: ReportEvent
    at: datetime
    message_key: uuid.UUID | None = None
    provider_id: str | None = None
    address: str | None = None
    code: str | None = None
    written: str | None = field(default=None, repr=False)  # what a patient wrote, for staff; None: no text came


def record(session: Session, reported: ReportedEvent, *, now: datetime) -> bool:
    """Stores the event and acts on it. Returns False, and changes nothing, when it was reported before."""
    report_id = session.scalar(
        insert_into(session, DeliveryReport, _row(reported, now))
        .on_conflict_do_nothing(index_elements=["provider", "event_id"])
        .returning(DeliveryReport.id)
    )
    if report_id is None:
        return False
    report = session.get_one(DeliveryReport, report_id)
    at_address = contacts.at_address(session, reported.channel, reported.address) if reported.address else ()
    _process(session, report, at_address, now)
    if reported.written is not None and is_for_staff(reported.written, text_keywords.known()):
        incoming_texts.store(session, report, at_address, reported.written)
    return True


def has_known_sender(session: Session, reported: ReportedEvent) -> bool:
    """Returns whether a subject has the address that the report names."""
    return bool(contacts.at_address(session, reported.channel, reported.address or ""))


def waiting(session: Session, *, now: datetime) -> Sequence[int]:
    """Returns the ids of reports that came before their message was known or finished, and can be processed now."""
    is_finished = Message.state != MessageState.CLAIMED
    by_key = exists().where(Message.key == DeliveryReport.message_key, is_finished)
    same_id = Attempt.provider_id == DeliveryReport.provider_id
    by_provider = exists().where(same_id, Message.id == Attempt.message_id, is_finished)
    return session.scalars(
        select(DeliveryReport.id)
        .where(DeliveryReport.processed_at.is_(None), DeliveryReport.received_at > now - UNMATCHED_FOR)
        .where(or_(by_key, by_provider))
        .order_by(DeliveryReport.received_at)
    ).all()


def process(session: Session, report_id: int, *, now: datetime) -> None:
    """Acts on a report that had to wait. The caller commits after each, since auditing holds a lock until then."""
    report = session.get_one(DeliveryReport, report_id, with_for_update=True, populate_existing=True)
    if report.processed_at is None:
        _process(session, report, (), now)


def unmatched(session: Session, *, now: datetime) -> int:
    """Counts the reports that have named a message for an hour that is not known here."""
    reports = select(func.count()).where(
        DeliveryReport.processed_at.is_(None),
        DeliveryReport.message_id.is_(None),
        DeliveryReport.received_at < now - timedelta(hours=1),
    )
    return session.scalar(reports) or 0


def reply(session: Session, reported: ReportedEvent, *, now: datetime) -> str | None:
    """Returns the reply to a text message, or None: to an unknown number, and twice a day to other words."""
    known = contacts.at_address(session, reported.channel, reported.address or "")
    if reported.event not in REPLIES or not known:
        return None
    if reported.event == ReportEvent.OTHER and _replied_before(session, reported, now):
        return None
    return _reply_to(session, known[0], reported.event)


def _reply_to(session: Session, contact: Contact, event: ReportEvent) -> str:
    """Returns the reply in the language of the contact's subject, with the name and telephone of the site."""
    if event == ReportEvent.START and contact.state != ContactState.ACTIVE:
        # START does not reopen an address that bounced, or that staff know to be another person's.
        event = ReportEvent.HELP
    facts = select(Subject.language, Site.name, Site.phone).join(Site, Site.id == Subject.site_id)
    facts = facts.where(Subject.id == contact.subject_id)
    language, clinic, phone = session.execute(facts).one()
    return message_texts.reply(REPLIES[event], language=language, clinic=clinic, phone=phone)


def _row(reported: ReportedEvent, now: datetime) -> dict[str, object]:
    address = reported.address
    return {
        "provider": reported.provider,
        "event_id": reported.event_id,
        "channel": reported.channel,
        "event": reported.event,
        "code": reported.code,
        "message_key": reported.message_key,
        "provider_id": reported.provider_id,
        "address_hash": contacts.contact_hash(reported.channel, address) if address else None,
        "at": reported.at,
        "received_at": now,
    }


def _process(session: Session, report: DeliveryReport, at_address: Iterable[Contact], now: datetime) -> None:
    """Acts on a report as far as possible: its message may be unknown yet, or still be sent by a worker."""
    report.message_id = report.message_id or _message_id(session, report)
    state = contact_state(report.event)
    if state is not None:
        affected = (*at_address, *_contacts_of(session, report))
        each_once = {contact.id: contact for contact in affected}
        status = ContactStatus(state, report.at)
        actor = Actor(ActorKind.SERVICE, f"webhooks.{report.provider}")
        contacts.apply_report(session, each_once.values(), status, now=now, actor=actor)
    session.flush()
    if report.message_id is not None:
        is_processed = _update_message(session, report.message_id)
    else:
        is_processed = report.message_key is None and report.provider_id is None
    report.processed_at = now if is_processed else None


def _message_id(session: Session, report: DeliveryReport) -> int | None:
    if report.message_key is not None:
        by_key = select(Message.id).where(Message.key == report.message_key)
        known = session.scalar(by_key)
        if known is not None:
            return known
    if report.provider_id is None:
        return None
    by_provider_id = select(Message.id).join(Attempt, Attempt.message_id == Message.id)
    by_provider_id = by_provider_id.where(
        Message.channel == report.channel,
        Attempt.provider_id == report.provider_id,
    )
    return session.scalar(by_provider_id.limit(1))


def _contacts_of(session: Session, report: DeliveryReport) -> Sequence[Contact]:
    """Returns every subject's contact at the address the message was sent to; none when it was corrected since."""
    if report.message_id is None:
        return ()
    reported_first = case((Attempt.provider_id == report.provider_id, 0), else_=1)
    sent = session.execute(
        select(Contact, Attempt.started_at)
        .select_from(Contact)
        .join(Message, attempts.contact_of_message())
        .join(Attempt, Attempt.message_id == Message.id)
        .where(Message.id == report.message_id)
        .order_by(reported_first, Attempt.started_at.desc())
        .limit(1)
    ).one_or_none()
    if sent is None:
        return ()
    verified_at = sent.Contact.verified_at
    if verified_at is not None and sent.started_at < verified_at:
        return ()
    return contacts.at_address(session, sent.Contact.channel, sent.Contact.address)


def _update_message(session: Session, message_id: int) -> bool:
    """Records what all reports about a message together say. Returns False while a worker sends it."""
    message = session.get_one(Message, message_id, with_for_update=True, populate_existing=True)
    if message.state == MessageState.CLAIMED:
        return False
    about_message = select(DeliveryReport.event, DeliveryReport.code).where(DeliveryReport.message_id == message_id)
    oldest_first = about_message.order_by(DeliveryReport.at, DeliveryReport.event_id)
    reports = session.execute(oldest_first).all()
    event = final_event({report.event for report in reports})
    if event is None:
        return True
    if event != ReportEvent.DELIVERED:
        _write(message, MessageState.FAILED, sent_at=None, failure=_failure(event, reports))
    elif message.state != MessageState.SENT:
        _write(message, MessageState.SENT, sent_at=_sent_at(session, message_id), failure=None)
    return True


def _failure(event: ReportEvent, reports: Iterable[Row[ReportEvent, str | None]]) -> str:
    """Returns the event with the first code that a provider gave for it."""
    for report in reports:
        if report.event == event and report.code:
            return f"{event} {report.code}"
    return event


def _write(message: Message, state: MessageState, *, sent_at: datetime | None, failure: str | None) -> None:
    message.state = state
    message.sent_at = sent_at
    message.failure = failure
    message.end_reason = None


def _sent_at(session: Session, message_id: int) -> datetime:
    """Returns when the provider accepted the last attempt, or when that began if it has no answer."""
    newest_first = select(Attempt).where(Attempt.message_id == message_id).order_by(Attempt.number.desc())
    last = session.scalars(newest_first.limit(1)).one()
    if last.outcome == SendOutcome.ACCEPTED and last.finished_at:
        return last.finished_at
    return last.started_at


def _replied_before(session: Session, reported: ReportedEvent, now: datetime) -> bool:
    """Returns whether other words came from the address within REPLY_AGAIN_AFTER, in addition to those just stored."""
    sender = contacts.contact_hash(reported.channel, reported.address or "")
    recent = select(func.count()).where(
        DeliveryReport.address_hash == sender,
        DeliveryReport.event == ReportEvent.OTHER,
        DeliveryReport.received_at > now - REPLY_AGAIN_AFTER,
    )
    n_recent = session.scalar(recent) or 0
    return n_recent > 1
