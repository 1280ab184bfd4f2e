"""The events, scales and consent forms of protocols, as rows: what statements join courses and visits with."""

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base


class ProtocolEvent(Base):
    """One study event of one protocol version, written when that is released. Never changed."""

    __tablename__ = "protocol_event"

    protocol_code: Mapped[str] = mapped_column(primary_key=True)
    protocol_version: Mapped[str] = mapped_column(primary_key=True)
    event_code: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]  # VISITNUM: order of the events in the protocol, from 1
    anchor: Mapped[str]  # domain.protocol.Anchor: what its window is counted from
    is_optional: Mapped[bool]  # not answering it is no missing answer


class ProtocolScale(Base):
    """One scale that an event asks for. An instrument that gets a scale in a later version adds rows."""

    __tablename__ = "protocol_scale"
    __table_args__ = (
        ForeignKeyConstraint(
            ["protocol_code", "protocol_version", "event_code"],
            ["protocol_event.protocol_code", "protocol_event.protocol_version", "protocol_event.event_code"],
        ),
    )

    protocol_code: Mapped[str] = mapped_column(primary_key=True)
    protocol_version: Mapped[str] = mapped_column(primary_key=True)
    event_code: Mapped[str] = mapped_column(primary_key=True)
    instrument_code: Mapped[str] = mapped_column(primary_key=True)
    scale_code: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]  # order of the scales in the battery, from 1


class ProtocolConsent(Base):
    """The consent form of one protocol version that has one, written when that is released. Never changed."""

    __tablename__ = "protocol_consent"

    protocol_code: Mapped[str] = mapped_column(primary_key=True)
    protocol_version: Mapped[str] = mapped_column(primary_key=True)
    form_code: Mapped[str]  # its newest released version is the one in effect
