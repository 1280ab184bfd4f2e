"""The events and scales of released protocols are rows, which figures and files are read by."""

from datetime import UTC, date, datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pro_tracker.models.protocol_event import ProtocolEvent, ProtocolScale
from pro_tracker.services.protocols import releases
from tests.support.course_builder import add_subject

NOW = datetime(2026, 3, 2, tzinfo=UTC)
BATTERY = [
    ("promis-pain-interference-8a", "total"),
    ("promis-fatigue-8a", "total"),
    ("pcs", "total"),
    ("pcs", "rumination"),
    ("pcs", "magnification"),
    ("pcs", "helplessness"),
    ("promis-satisfaction-social-roles-4a", "total"),
    ("pain-intensity-nrs", "total"),
]


def events(session: Session) -> list[tuple[str, int, str, bool]]:
    rows = select(ProtocolEvent).where(
        ProtocolEvent.protocol_code == "ketamine-5day",
        ProtocolEvent.protocol_version == "1",
    )
    in_order = session.scalars(rows.order_by(ProtocolEvent.number))
    return [(row.event_code, row.number, row.anchor, row.is_optional) for row in in_order]


def scales(session: Session, event_code: str) -> list[tuple[str, str]]:
    rows = select(ProtocolScale).where(
        ProtocolScale.protocol_code == "ketamine-5day",
        ProtocolScale.protocol_version == "1",
        ProtocolScale.event_code == event_code,
    )
    return [(row.instrument_code, row.scale_code) for row in session.scalars(rows.order_by(ProtocolScale.position))]


def test_a_release_stores_the_events_and_scales_of_each_protocol(session: Session) -> None:
    releases.release(session, now=NOW)
    assert events(session) == [
        ("baseline", 1, "first-infusion", False),
        ("last-infusion", 2, "last-infusion", False),
        ("3-months", 3, "last-infusion", False),
        ("6-months", 4, "last-infusion", False),
    ]
    assert scales(session, "baseline") == BATTERY
    assert scales(session, "6-months") == [*BATTERY, ("pgic", "total")]


def test_a_second_release_adds_what_is_missing_and_changes_nothing(session: Session) -> None:
    releases.release(session, now=NOW)
    session.execute(delete(ProtocolScale).where(ProtocolScale.instrument_code == "pgic"))
    releases.release(session, now=NOW)
    assert scales(session, "6-months") == [*BATTERY, ("pgic", "total")]


def test_before_the_first_release_the_rows_are_written_with_the_first_course(session: Session) -> None:
    assert events(session) == []
    add_subject(session, NOW, planned_start_on=date(2026, 3, 9))
    assert [code for code, *_rest in events(session)] == ["baseline", "last-infusion", "3-months", "6-months"]
    assert scales(session, "baseline") == BATTERY
