"""Facts that sending one claimed message depends on, read in one query: whether it is still due, and from when."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.domain.call_codes import CallOutcome
from pro_tracker.domain.calling import STOP_REMINDERS_AFTER
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import EndReason, MessageKind, MessageState
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.reminder_times import (
    Recipient,
    SnoozeRequest,
    for_event,
    next_allowed,
    reminder_times,
    snooze_holds,
)
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import VisitWindow, answerable_until
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message, is_to_subject
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic.participation import takes_part
from pro_tracker.services.clinic.person import RECORD
from pro_tracker.services.consent_filters import has_declined
from pro_tracker.services.planning import planned_messages, recipients
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.sending import attempts

VALID_FOR = timedelta(seconds=1)  # then a message is read again before it is sent
SUBMITTED = (MessageState.CLAIMED, MessageState.SENT, MessageState.UNCERTAIN)  # it was accepted, or may be


@dataclass(frozen=True, slots=True)
class SendContext:
    """A claimed message with all that sending it depends on, as it was read at one moment.

    `contact`: None where the subject has none on the message's channel. `is_superseded`: a later message about the
    visit was submitted; `next_at`: when the next one is due, None without one. `provider_failures`: earlier attempts
    that failed because of the provider; `unknown_since`: when the first attempt with an unknown outcome began.
    `shares_address`: another subject gets messages at the same address. `refused`: the outcome of a call after which no
    reminder follows; None without one. `is_first`: no message was sent to the contact on this channel before.
    `has_declined`: the person declined the consent form of the visit's protocol.
    """

    message: Message
    visit: Visit
    subject: Subject
    site: Site
    course: Course
    contact: Contact | None
    is_superseded: bool
    next_at: datetime | None
    provider_failures: int
    unknown_since: datetime | None
    shares_address: bool
    refused: CallOutcome | None
    is_first: bool
    has_declined: bool
    recipient: Recipient
    snoozes: Sequence[SnoozeRequest]

    @property
    def is_planned(self) -> bool:
        """Returns whether the message follows from the protocol. A subject who asked for a link waits for it."""
        return self.message.kind in planned_messages.PLANNED_KINDS

    @property
    def is_copy(self) -> bool:
        """Returns whether the message leads to the copy of a consent, which is sent whatever becomes of the visit."""
        return self.message.kind is MessageKind.CONSENT_COPY

    @property
    def has_unknown_outcome(self) -> bool:
        """Returns whether the message may have been delivered by an earlier attempt."""
        return self.unknown_since is not None

    @property
    def protocol(self) -> Protocol:
        """The protocol version that the message's visit was planned with."""
        return protocol_catalog.bound_to(self.visit)


def load(session: Session, message_ids: Sequence[int], now: datetime) -> dict[int, SendContext]:
    """Returns the contexts, by message id, of those messages that are claimed and have no open attempt."""
    parameters = {"ids": message_ids, "now": now}
    rows = session.execute(_CLAIMED, parameters, execution_options={"populate_existing": True}).all()
    by_subject = recipients.recipients(session, {row.Subject for row in rows})
    by_visit = recipients.snoozes(session, [row.Visit.id for row in rows])
    contexts = {}
    for row in rows:
        values = (*row, by_subject[row.Subject.id], by_visit[row.Visit.id])
        contexts[row.Message.id] = SendContext(*values)
    return contexts


def end_reason(context: SendContext, now: datetime) -> EndReason | UnansweredReason | None:
    """Returns why the message is no longer due, or None while it is."""
    visit, subject = context.visit, context.subject
    if visit.completed_at is not None and not context.is_copy:
        return EndReason.ANSWERED
    if not subject.takes_part:
        return EndReason.WITHDRAWN if subject.death_recorded_at is None else UnansweredReason.DIED
    return _visit_reason(context, now) or _unsendable_reason(context, now)


def _visit_reason(context: SendContext, now: datetime) -> EndReason | UnansweredReason | None:
    """Returns why the visit needs no message any more, or None while it does."""
    visit = context.visit
    if context.is_copy:
        return None
    if visit.voided_at is not None:
        return visit.void_reason
    if now >= (visit.closes_at if context.is_planned else answerable_until(visit)):
        return EndReason.WINDOW_CLOSED
    return None


def _unsendable_reason(context: SendContext, now: datetime) -> EndReason | UnansweredReason | None:
    if context.is_planned and context.refused is not None:  # by telephone, after this message was claimed
        return UnansweredReason(context.refused)
    if context.is_planned and context.has_declined:
        return UnansweredReason.REFUSED
    if context.contact is None or context.contact.state != ContactState.ACTIVE:
        return EndReason.NO_CONTACT
    if context.is_planned and _is_superseded(context, now):
        return EndReason.SUPERSEDED
    return None


def _is_superseded(context: SendContext, now: datetime) -> bool:
    """Returns whether a later message was submitted or is due today: after an outage one message is sent, not three."""
    if context.is_superseded:
        return True
    zone = context.recipient.zone
    return context.next_at is not None and local_date(context.next_at, zone) <= local_date(now, zone)


def earliest_send_at(context: SendContext, now: datetime) -> datetime:
    """Returns when the message may go: `now`, or later in quiet hours, during a hold, or before its visit opens."""
    visit = context.visit
    if not context.is_planned:
        return max(now, visit.opens_at)
    if visit.opens_at > now:  # the visit moved since the message was planned
        return _planned_send_at(context)
    recipient = for_event(context.recipient, context.protocol.event(visit.event_code))
    holds = (*recipient.holds, *snooze_holds(context.snoozes, context.recipient.zone))
    allowed_at = next_allowed(context.protocol, now, replace(recipient, holds=holds))
    return min(allowed_at, visit.closes_at)


def _planned_send_at(context: SendContext) -> datetime:
    """Returns when the protocol would send the message now, or the end of its visit if it would not."""
    visit, message, recipient = context.visit, context.message, context.recipient
    window = VisitWindow(visit.opens_at, visit.due_at, visit.closes_at)
    sends = reminder_times(context.protocol, visit.event_code, window, visit.planned_at, recipient, context.snoozes)
    for send in sends:
        if (send.kind, send.step) == (message.kind, message.step):
            return send.send_at
    return visit.closes_at


def _later_was_submitted() -> ColumnElement[bool]:
    newer = aliased(Message)
    return exists().where(_is_later(newer), newer.state.in_(SUBMITTED))


def _next_at() -> ScalarSelect[datetime]:
    newer = aliased(Message)
    later = select(func.min(newer.send_at)).where(_is_later(newer))
    planned = later.where(newer.state == MessageState.PLANNED)
    return planned.scalar_subquery()


def shares_address() -> ColumnElement[bool]:
    """SQL: a subject other than that of the message, who takes part, has the same address on this channel."""
    other, other_subject = aliased(Contact), aliased(Subject)
    shared = exists().where(
        other.address_hash == Contact.address_hash,
        other.channel == Contact.channel,
    )
    shared = shared.where(
        other.subject_id != Contact.subject_id,
        other.subject_id == other_subject.id,
    )
    return shared.where(takes_part(other_subject), other_subject.merged_into_id.is_(None))


def _refused() -> ScalarSelect[CallOutcome]:
    """SQL: the outcome of a call about the visit after which no reminder follows."""
    refused = select(Call.outcome).where(Call.visit_id == Message.visit_id, Call.outcome.in_(STOP_REMINDERS_AFTER))
    return refused.limit(1).scalar_subquery()


def _was_written_to() -> ColumnElement[bool]:
    """SQL: another message was sent to the same address, on the same channel."""
    earlier = aliased(Message)
    sent = exists().where(earlier.subject_id == Message.subject_id, earlier.channel == Message.channel)
    sent = sent.where(earlier.id != Message.id, earlier.sent_at.is_not(None))
    # Another address was entered since, or it was opened again: its owner may be someone else.
    return sent.where(or_(Contact.verified_at.is_(None), earlier.sent_at > Contact.verified_at))


def _is_later(newer: type[Message]) -> ColumnElement[bool]:
    """SQL: `newer` is planned for later than Message, about the same visit, and goes to the same person.

    The copy of a consent asks for nothing, so it replaces no message.
    """
    same_visit = and_(newer.visit_id == Message.visit_id, newer.kind != MessageKind.CONSENT_COPY)
    same_person = is_to_subject(newer) == is_to_subject()
    later_day = newer.local_on > Message.local_on
    same_day = newer.local_on == Message.local_on
    later_that_day = and_(same_day, newer.local_time > Message.local_time)
    return and_(same_visit, same_person, or_(later_day, later_that_day))


def _claimed() -> Select[Any]:
    return (
        select(Message, Visit, Subject, Site, Course, Contact, _later_was_submitted(), _next_at())
        .add_columns(attempts.provider_failures(), attempts.unknown_since(), shares_address())
        .add_columns(_refused(), ~_was_written_to(), has_declined(Visit, Subject.id))
        .join(Visit, Visit.id == Message.visit_id)
        .join(RECORD, RECORD.id == Message.subject_id)
        .join(Subject, Subject.id == RECORD.person_id)
        .join(Site, Site.id == Subject.site_id)
        .join(Course, Course.id == Visit.course_id)
        .outerjoin(Contact, attempts.contact_of_message())
        .where(Message.id.in_(bindparam("ids", expanding=True)))
        .where(Message.state == MessageState.CLAIMED, Message.lease_until > bindparam("now"))
        .where(~attempts.has_open_attempt())
    )


_CLAIMED = _claimed()  # built once: building the statement takes as long as executing it
