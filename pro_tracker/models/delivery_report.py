"""Delivery reports of providers, and counts of the calls that their webhooks received."""

import uuid
from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.delivery_reports import ReportEvent, WebhookCountKind

UNPROCESSED = text("processed_at IS NULL")


class DeliveryReport(Base):
    """One event as a provider reported it. Append-only, apart from `message_id` and `processed_at`.

    A report may arrive before the attempt that it is about is recorded: both are then set later. Of a message that a
    subject sent, only the keyword is stored, never the text.
    """

    __tablename__ = "receipt"
    __table_args__ = (
        UniqueConstraint("provider", "event_id"),
        Index("ix_receipt_unprocessed", "received_at", postgresql_where=UNPROCESSED, sqlite_where=UNPROCESSED),
        Index("ix_receipt_address_hash", "address_hash", "received_at"),
        one_of("channel", Channel),
        one_of("event", ReportEvent),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    provider: Mapped[str]
    event_id: Mapped[str]  # the provider's own: a repeated report is ignored
    channel: Mapped[Channel] = mapped_column(Code(Channel))
    event: Mapped[ReportEvent] = mapped_column(Code(ReportEvent))
    code: Mapped[str | None]  # the provider's error code
    message_key: Mapped[uuid.UUID | None]  # our key of the message, where the provider echoes it
    provider_id: Mapped[str | None]  # the provider's id of the message
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"), index=True)
    address_hash: Mapped[bytes | None]  # keyed hash of the address, for a report that names no message
    at: Mapped[datetime] = mapped_column(UtcDateTime)  # when it happened, by the provider's clock
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    processed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # its effect on message and contact was recorded


class WebhookCount(Base):
    """The number of calls that a webhook received on one day, by their kind."""

    __tablename__ = "webhook_count"
    __table_args__ = (one_of("kind", WebhookCountKind),)

    provider: Mapped[str] = mapped_column(primary_key=True)
    counted_on: Mapped[date] = mapped_column(primary_key=True)  # UTC
    kind: Mapped[WebhookCountKind] = mapped_column(Code(WebhookCountKind), primary_key=True)
    n_calls: Mapped[int]
