"""One message at its hand-over: is it still wanted, may it go now, and what does it say? Sends nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import EndReason, MessageState
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.reminder_times import Recipient, Snoozed, next_allowed, reminder_times, snooze_holds
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import Window, answerable_until
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning import planned_messages, recipients
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.sending import attempts

OUT_OF_HAND = (MessageState.CLAIMED, MessageState.SENT, MessageState.UNCERTAIN)  # it went, or may have


@dataclass(frozen=True, slots=True)
class Sheet:
    """A claimed message with all that its hand-over needs, as it was read at one moment.

    `contact`: None where there is none on its channel. `superseded`: a later message about the visit is out of our
    hands; `next_at`: when the next one leaves, None without one.
    `spared`: how many attempts at it the provider spoiled; `unsure_since`: see attempts.py.
    """

    message: Message
    visit: Visit
    subject: Subject
    site: Site
    course: Course
    contact: Contact | None
    superseded: bool
    next_at: datetime | None
    spared: int
    unsure_since: datetime | None
    recipient: Recipient
    snoozes: Sequence[Snoozed]

    @property
    def is_planned(self) -> bool:
        """Whether the message follows from the protocol; whoever asked for a link is awake and waits for it."""
        return self.message.kind in planned_messages.PLANNED_KINDS

    @property
    def protocol(self) -> Protocol:
        return protocol_catalog.protocol(self.course.protocol_code, self.course.protocol_version)


def claimed(session: Session, message_ids: Sequence[int], now: datetime) -> dict[int, Sheet]:
    """Those of the messages that are claimed and at which no attempt is open: of the others somebody takes care."""
    asked = {"ids": message_ids, "now": now}
    found = session.execute(_CLAIMED, asked, execution_options={"populate_existing": True}).all()
    recipient = recipients.recipients(session, {row.Subject for row in found})
    snoozes = recipients.snoozes(session, [row.Visit.id for row in found])
    return {row.Message.id: Sheet(*(*row, recipient[row.Subject.id], snoozes[row.Visit.id])) for row in found}


def no_longer_wanted(sheet: Sheet, now: datetime) -> EndReason | UnansweredReason | None:
    """Why the message is not to be sent at all, or None."""
    visit, subject = sheet.visit, sheet.subject
    if visit.completed_at is not None:
        return EndReason.ANSWERED
    if subject.withdrawn_at is not None:
        return EndReason.WITHDRAWN
    if visit.voided_at is not None:
        return visit.void_reason
    if now >= (visit.closes_at if sheet.is_planned else answerable_until(visit)):
        return EndReason.WINDOW_CLOSED
    return _unsendable(sheet, now)


def _unsendable(sheet: Sheet, now: datetime) -> EndReason | None:
    if sheet.contact is None or sheet.contact.state != ContactState.ACTIVE:
        return EndReason.NO_CONTACT
    return EndReason.SUPERSEDED if sheet.is_planned and _overtaken(sheet, now) else None


def _overtaken(sheet: Sheet, now: datetime) -> bool:
    """Whether a later one has gone or leaves today: after an outage one message comes, not three, and one on a day."""
    zone = sheet.recipient.zone
    return sheet.superseded or (sheet.next_at is not None and local_date(sheet.next_at, zone) <= local_date(now, zone))


def not_before(sheet: Sheet, now: datetime) -> datetime:
    """When it may go: `now`, unless the visit moved, the subject sleeps or a hold was recorded since it was planned."""
    visit, message = sheet.visit, sheet.message
    if not sheet.is_planned:
        return max(now, visit.opens_at)
    if visit.opens_at <= now:
        holds = (*sheet.recipient.holds, *snooze_holds(sheet.snoozes, sheet.recipient.zone))
        return min(next_allowed(sheet.protocol, now, replace(sheet.recipient, holds=holds)), visit.closes_at)
    window = Window(visit.opens_at, visit.due_at, visit.closes_at)
    sends = reminder_times(sheet.protocol, visit.event_code, window, visit.planned_at, sheet.recipient, sheet.snoozes)
    same = (each.send_at for each in sends if (each.kind, each.step) == (message.kind, message.step))
    return next(same, visit.closes_at)


def _superseded() -> ColumnElement[bool]:
    newer = aliased(Message)
    return exists().where(_later(newer), newer.state.in_(OUT_OF_HAND))


def _next_at() -> ScalarSelect[datetime]:
    newer = aliased(Message)
    return select(func.min(newer.send_at)).where(_later(newer), newer.state == MessageState.PLANNED).scalar_subquery()


def _later(newer: type[Message]) -> ColumnElement[bool]:
    """Planned for later than Message, about the same visit."""
    next_day = newer.local_on > Message.local_on
    same_day = and_(newer.local_on == Message.local_on, newer.local_time > Message.local_time)
    return and_(newer.visit_id == Message.visit_id, or_(next_day, same_day))


def _claimed() -> Select[Any]:
    on_channel = and_(Contact.subject_id == Message.subject_id, Contact.channel == Message.channel)
    columns = (Message, Visit, Subject, Site, Course, Contact, _superseded(), _next_at())
    rows = select(*columns, attempts.spared(), attempts.unsure_since()).join(Visit, Visit.id == Message.visit_id)
    rows = rows.join(Subject, Subject.id == Message.subject_id).join(Site, Site.id == Subject.site_id)
    rows = rows.join(Course, Course.id == Visit.course_id).outerjoin(Contact, on_channel)
    in_hand = (Message.state == MessageState.CLAIMED, Message.lease_until > bindparam("now"), ~attempts.left_open())
    return rows.where(Message.id.in_(bindparam("ids", expanding=True)), *in_hand)


_CLAIMED = _claimed()  # made once: building it took as long as asking the database
