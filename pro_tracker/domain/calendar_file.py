"""Writes one day as a calendar file (iCalendar, RFC 5545), as the calendars of telephones take it. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain

LINE_BYTES = 75  # without the line break (RFC 5545, 3.1)


@dataclass(frozen=True, slots=True)
class DayEvent:
    """One whole day. `uid`: the same whenever the event is written again, so that a calendar moves it.

    `written_at`: UTC; of two versions the one written later counts.
    """

    uid: str
    on: date
    summary: str
    description: str
    written_at: datetime


def calendar_file(event: DayEvent) -> bytes:
    """Returns the file in UTF-8, its lines ended by CRLF and folded."""
    lines = (
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//PRO Tracker//EN", "CALSCALE:GREGORIAN", "METHOD:PUBLISH"),
        "BEGIN:VEVENT",
        f"UID:{_text(event.uid)}",
        f"DTSTAMP:{event.written_at.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        # Grows with time, for calendars that take a file only if it is a newer version of what they have.
        f"SEQUENCE:{int(event.written_at.timestamp()) // 60}",
        f"DTSTART;VALUE=DATE:{event.on:%Y%m%d}",
        f"DTEND;VALUE=DATE:{event.on + timedelta(days=1):%Y%m%d}",  # the day after, which is not part of it
        f"SUMMARY:{_text(event.summary)}",
        f"DESCRIPTION:{_text(event.description)}",
        "TRANSP:TRANSPARENT",  # the day stays free for other appointments
        "END:VEVENT",
        "END:VCALENDAR",
    )
    parts = chain.from_iterable(_folded(line) for line in lines)
    return b"".join(part + b"\r\n" for part in parts)


def _text(value: str) -> str:
    """Returns a value of type TEXT (3.3.11) on one line."""
    escaped = re.sub(r"([\\;,])", r"\\\1", value)
    return re.sub(r"\r\n|\r|\n", r"\\n", escaped)


def _folded(line: str) -> Iterator[bytes]:
    """Yields the parts of a line, each but the first begun with a space; no letter is cut (3.1)."""
    part = b""
    for letter in line:
        encoded = letter.encode()
        if len(part) + len(encoded) > LINE_BYTES:
            yield part
            part = b" "
        part += encoded
    yield part
