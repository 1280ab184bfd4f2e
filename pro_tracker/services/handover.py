"""One message at its hand-over: is it still wanted, may it go now, and what does it say? Sends nothing."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.reminder_times import next_allowed, reminder_times, snooze_holds
from pro_tracker.domain.visit_windows import Window
from pro_tracker.models.course import Course
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services import message_texts, messages, protocols, recipients, unsubscribing
from pro_tracker.services.message_texts import MessageFacts


@dataclass(frozen=True, slots=True)
class Sheet:
    """A claimed message with all that its hand-over needs. `contact`: None where there is none on its channel."""

    message: Message
    visit: Visit
    subject: Subject
    site: Site
    course: Course
    contact: Contact | None

    @property
    def protocol(self) -> Protocol:
        return protocols.protocol(self.course.protocol_code, self.course.protocol_version)


def claimed(session: Session, message_id: int, now: datetime) -> Sheet | None:
    """The message, locked, if it is claimed and no attempt at it is open; else None: somebody else has or had it."""
    on_channel = and_(Contact.subject_id == Message.subject_id, Contact.channel == Message.channel)
    rows = select(Message, Visit, Subject, Site, Course, Contact).join(Visit, Visit.id == Message.visit_id)
    rows = rows.join(Subject, Subject.id == Message.subject_id).join(Site, Site.id == Subject.site_id)
    rows = rows.join(Course, Course.id == Visit.course_id).outerjoin(Contact, on_channel)
    open_attempt = exists().where(Attempt.message_id == Message.id, Attempt.outcome.is_(None))
    mine = (Message.id == message_id, Message.state == "claimed", Message.lease_until > now, ~open_attempt)
    row = session.execute(
        rows.where(*mine).with_for_update(of=Message, skip_locked=True), execution_options={"populate_existing": True}
    ).one_or_none()
    return Sheet(*row) if row is not None else None


def no_longer_wanted(session: Session, sheet: Sheet, now: datetime) -> str | None:
    """Why the message is not to be sent at all, or None."""
    visit, subject = sheet.visit, sheet.subject
    if visit.completed_at is not None:
        return "answered"
    if subject.withdrawn_at is not None:
        return "withdrawn"
    if visit.voided_at is not None:
        return visit.void_reason
    if now >= visit.closes_at:
        return "window-closed"
    return _unsendable(session, sheet, now)


def _unsendable(session: Session, sheet: Sheet, now: datetime) -> str | None:
    if sheet.contact is None or sheet.contact.state != "active":
        return "no-contact"
    if sheet.message.kind in messages.PLANNED_KINDS and _newer_message(session, sheet.message, now):
        return "superseded"
    return None


def not_before(session: Session, sheet: Sheet, now: datetime) -> datetime:
    """When it may go: `now`, unless the visit moved, the subject sleeps or a hold was recorded since it was planned.

    Who asked for a link is awake.
    """
    visit, message, subject = sheet.visit, sheet.message, sheet.subject
    if message.kind not in messages.PLANNED_KINDS:
        return max(now, visit.opens_at)
    recipient = recipients.recipient(session, subject)
    snoozes = recipients.snoozes(session, [visit.id])[visit.id]
    if visit.opens_at <= now:
        holds = (*recipient.holds, *snooze_holds(snoozes, subject.time_zone))
        return min(next_allowed(sheet.protocol, now, replace(recipient, holds=holds)), visit.closes_at)
    window = Window(visit.opens_at, visit.due_at, visit.closes_at)
    sends = reminder_times(sheet.protocol, visit.event_code, window, visit.planned_at, recipient, snoozes)
    same = (each.send_at for each in sends if (each.kind, each.step) == (message.kind, message.step))
    return next(same, visit.closes_at)


def compose(sheet: Sheet, url: str, now: datetime) -> OutgoingMessage:
    """The message in the subject's words, with its personal link."""
    message, contact = sheet.message, sheet.contact
    unsubscribe_url = unsubscribing.address(url, contact) if contact and message.channel == "email" else None
    facts = MessageFacts(
        template=message.template,
        language=sheet.subject.language,
        time_zone=sheet.subject.time_zone,
        clinic=sheet.site.name,
        phone=sheet.site.phone,
        url=url,
        unsubscribe_url=unsubscribe_url,
        closes_at=sheet.visit.closes_at,
    )
    written = message_texts.mail(facts) if message.channel == "email" else message_texts.sms(facts)
    return OutgoingMessage(
        key=message.key,
        to=contact.address if contact is not None else "",
        subject=written.subject,
        text=written.text,
        html=written.html,
        language=facts.language,
        written_at=now,
        unsubscribe_url=unsubscribe_url,
    )


def _newer_message(session: Session, message: Message, now: datetime) -> bool:
    """Whether a later one of the same visit is due or on its way: after an outage one message comes, not three."""
    newer = aliased(Message)
    later = or_(
        newer.local_on > message.local_on,
        and_(newer.local_on == message.local_on, newer.local_time > message.local_time),
    )
    waiting = or_(
        newer.state.in_(("claimed", "sent", "uncertain")), and_(newer.state == "planned", newer.send_at <= now)
    )
    found = select(newer.id).where(newer.visit_id == message.visit_id, newer.id != message.id, later, waiting)
    return session.scalar(found.limit(1)) is not None
