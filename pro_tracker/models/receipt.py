"""What providers tell us later about messages and addresses, and how much of what came in was believed."""

import uuid
from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.receipts import ReceiptEvent, WebhookCountKind

UNSETTLED = text("settled_at IS NULL")


class Receipt(Base):
    """One event as a provider reported it. Append-only, but that it is settled once its message is known and at rest.

    It may come before our own note that the provider took the message: `message_id` is then filled in later. What a
    text message said is not kept, only which of the words it was.
    """

    __tablename__ = "receipt"
    __table_args__ = (
        UniqueConstraint("provider", "event_id"),
        Index("ix_receipt_unsettled", "received_at", postgresql_where=UNSETTLED, sqlite_where=UNSETTLED),
        Index("ix_receipt_address_hash", "address_hash", "received_at"),
        one_of("channel", Channel),
        one_of("event", ReceiptEvent),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    provider: Mapped[str]
    event_id: Mapped[str]  # the provider's own, so that the same event counts once
    channel: Mapped[Channel] = mapped_column(Code(Channel))
    event: Mapped[ReceiptEvent] = mapped_column(Code(ReceiptEvent))
    code: Mapped[str | None]  # the provider's error code
    message_key: Mapped[uuid.UUID | None]  # our key of the message, where the provider echoes it
    provider_id: Mapped[str | None]  # the provider's id of the message
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"), index=True)
    address_hash: Mapped[bytes | None]  # keyed; whose news it is where no message is named
    at: Mapped[datetime] = mapped_column(UtcDateTime)  # when it happened, by the provider's clock
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # message and contact follow from it since then


class WebhookCount(Base):
    """How many calls a webhook got on a day, by what became of them."""

    __tablename__ = "webhook_count"
    __table_args__ = (one_of("kind", WebhookCountKind),)

    provider: Mapped[str] = mapped_column(primary_key=True)
    counted_on: Mapped[date] = mapped_column(primary_key=True)  # UTC
    kind: Mapped[WebhookCountKind] = mapped_column(Code(WebhookCountKind), primary_key=True)
    n_calls: Mapped[int]
