"""The outbox: messages, and each attempt to send one. The table is the truth, the queue a hint."""

import uuid
from datetime import date, datetime, time

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.channels import HELPER_CHANNELS, Channel
from pro_tracker.domain.message_codes import EndReason, MessageKind, MessageState, SendOutcome
from pro_tracker.domain.unanswered import UnansweredReason

DUE = text(f"state = '{MessageState.PLANNED}'")
CLAIMED = text(f"state = '{MessageState.CLAIMED}'")
END_REASONS = dict.fromkeys([*EndReason, *UnansweredReason])  # the message's own reason, or that of its visit
HAS_PROVIDER_ID = text("provider_id IS NOT NULL")


class Message(Base):
    """One message to one subject on one channel. A reminder is one kind of it."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("visit_id", "kind", "step", "channel"),
        Index("ix_message_due", "send_at", postgresql_where=DUE, sqlite_where=DUE),
        Index("ix_message_claimed", "lease_until", postgresql_where=CLAIMED, sqlite_where=CLAIMED),
        one_of("kind", MessageKind),
        one_of("channel", Channel),
        one_of("state", MessageState),
        one_of("end_reason", END_REASONS),
        CheckConstraint(f"(state = '{MessageState.CLAIMED}') = (lease_until IS NOT NULL)", name="lease"),
        CheckConstraint(f"(state = '{MessageState.SENT}') = (sent_at IS NOT NULL)", name="sent"),
        CheckConstraint(f"(state = '{MessageState.ENDED}') = (end_reason IS NOT NULL)", name="ended"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    key: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid.uuid4)  # idempotency key; part of the Message-ID
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    kind: Mapped[MessageKind] = mapped_column(Code(MessageKind))
    step: Mapped[int]  # number of the reminder step in the protocol, from 0; running number of other kinds
    template: Mapped[str]
    channel: Mapped[Channel] = mapped_column(Code(Channel))
    local_on: Mapped[date]  # planned wall date and time in the subject's time zone, which send_at resolves to
    local_time: Mapped[time]
    send_at: Mapped[datetime] = mapped_column(UtcDateTime)  # moved forward before a retry
    state: Mapped[MessageState] = mapped_column(Code(MessageState), default=MessageState.PLANNED)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    # When the provider's acceptance was recorded; None again after a report of failure or a hard bounce.
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # The message's own reason, or the one for which its visit ended.
    end_reason: Mapped[EndReason | UnansweredReason | None] = mapped_column(Code((EndReason, UnansweredReason)))
    failure: Mapped[str | None]  # the provider's error text, without addresses
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


def is_to_subject(message: type[Message] = Message) -> ColumnElement[bool]:
    """SQL: the message goes to the subject, not to the helper whom the subject trusts."""
    channel = message.channel
    return channel.not_in(HELPER_CHANNELS)


class Attempt(Base):
    """One submission to a provider. Committed before the call, so an attempt without an outcome is open."""

    __tablename__ = "attempt"
    __table_args__ = (
        UniqueConstraint("message_id", "number"),
        one_of("outcome", SendOutcome),
        Index("ix_attempt_provider_id", "provider_id", postgresql_where=HAS_PROVIDER_ID, sqlite_where=HAS_PROVIDER_ID),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"))
    number: Mapped[int]
    provider: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[SendOutcome | None] = mapped_column(Code(SendOutcome))
    provider_id: Mapped[str | None]  # the provider's own id of the message
    reply: Mapped[str | None]  # reply code and class, without addresses
    # The provider would have failed any message (down, rate limited): not counted as one of the message's attempts.
    is_provider_fault: Mapped[bool] = mapped_column(default=False, server_default=false())
