"""Reads the cells of one roster row: dates, times, numbers, one infusion. No other rows, no database access."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.infusion_codes import InfusionStatus
from pro_tracker.services.enrolment.facts import MAX_TEXT_LENGTH
from pro_tracker.services.treatment import infusion_facts
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, InfusionFacts

Problems = dict[str, str]  # column -> reason


class InvalidCell(ValueError):
    """A cell is not valid for its column; the text says what to write instead."""


def read_date(text: str) -> date:
    """Returns the date of an ISO 8601 text such as 2026-03-31. Raises InvalidCell."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise InvalidCell("Write the date as year-month-day: 2026-03-31.")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidCell("There is no such day in the calendar.") from None


def read_time(text: str) -> time:
    """Returns the wall time of a text such as 8:30, 08:30 or 08:30:00. Raises InvalidCell."""
    if not re.fullmatch(r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?", text):
        raise InvalidCell("Write the time as hours:minutes from 00:00 to 23:59.")
    # ISO 8601 needs two digits for the hour.
    length = len("00:00") if len(text) < 6 else len("00:00:00")
    return time.fromisoformat(text.zfill(length))


def decimal_reader(least: str, most: str, places: str) -> Callable[[str], Decimal]:
    """Returns a reader of decimals from `least` to `most`, rounded half up to the stored `places` ("0.001")."""

    def read(text: str) -> Decimal:
        if "," in text:
            raise InvalidCell("Write the decimal sign as a point: 0.5.")
        if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", text):
            raise InvalidCell("This is not a number.")
        value = Decimal(text).quantize(Decimal(places), ROUND_HALF_UP)
        if not Decimal(least) <= value <= Decimal(most):
            raise InvalidCell(f"The number must be from {least} to {most}.")
        return value

    return read


def integer_reader(least: int, most: int) -> Callable[[str], int]:
    """Returns a reader of integers from `least` to `most`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,9}", text):
            raise InvalidCell("This is not a whole number.")
        if not least <= int(text) <= most:
            raise InvalidCell(f"The number must be from {least} to {most}.")
        return int(text)

    return read


def choice_reader(*words: str) -> Callable[[str], str]:
    """Returns a reader of one of these words, in any letter case."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise InvalidCell(f"This must be one of: {', '.join(words)}.")
        return text.lower()

    return read


def read_text(text: str) -> str:
    """Returns a short text. Raises InvalidCell for control characters except line breaks and tabs."""
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidCell(f"This is longer than {MAX_TEXT_LENGTH} characters.")
    controls = [sign for sign in text if unicodedata.category(sign) == "Cc"]
    # PostgreSQL cannot store NUL.
    if any(sign not in "\r\n\t" for sign in controls):
        raise InvalidCell("This holds a control character. Type it again.")
    return text


EMERGENCY = {"yes": True, "no": False, None: None}  # an empty cell says nothing
# The bounds are those of the infusion table's constraints.
READERS: dict[str, Callable[[str], Any]] = {
    "infusion_on": read_date,
    "infusion_start": read_time,
    "dose_mg_per_kg": decimal_reader("0.001", "5", "0.001"),
    "weight_kg": decimal_reader("0.1", "499.9", "0.1"),
    "minutes": integer_reader(1, 1440),
    "status": choice_reader(*InfusionStatus),
    "stop_reason": read_text,
    "ondansetron_mg": decimal_reader("0", "32", "0.1"),
    "adverse_event": read_text,
    "ctcae_grade": integer_reader(1, 5),
    "emergency_response": choice_reader("yes", "no"),
}
REQUIRED_COLUMNS = ("infusion_on", "dose_mg_per_kg", "weight_kg", "minutes", "status")
COLUMN_BY_FIELD = {"given_on": "infusion_on", "started_at_local": "infusion_start", "adverse_events": "adverse_event"}


def read_infusion(cells: Mapping[str, str], *, zone: str, now: datetime) -> tuple[InfusionFacts | None, Problems]:
    """Returns the infusion of a row and its problems; None when all infusion cells are empty or any is invalid.

    `zone` is the site's time zone, in which an infusion may not be in the future.
    """
    if not any(cells[column] for column in READERS):
        return None, {}
    values, problems = _read_cells(cells)
    problems |= {column: "This is missing." for column in REQUIRED_COLUMNS if not cells[column]}
    for column, reason in _contradictions(cells).items():
        problems.setdefault(column, reason)  # the first problem of a column is kept
    if problems:
        return None, problems
    return _checked(_facts(values), zone, now)


def _checked(facts: InfusionFacts, zone: str, now: datetime) -> tuple[InfusionFacts | None, Problems]:
    try:
        infusion_facts.check(facts, zone=zone, now=now)
    except InvalidInput as error:
        field = error.field or ""
        return None, {COLUMN_BY_FIELD.get(field, field): str(error)}
    return facts, {}


def _read_cells(cells: Mapping[str, str]) -> tuple[dict[str, Any], Problems]:
    values: dict[str, Any] = {}
    problems: Problems = {}
    for column, read in READERS.items():
        try:
            values[column] = read(cells[column]) if cells[column] else None
        except InvalidCell as error:
            problems[column] = str(error)
    return values, problems


def _contradictions(cells: Mapping[str, str]) -> Problems:
    status, event = cells["status"].lower(), cells["adverse_event"]
    found: Problems = {}
    if status == InfusionStatus.STOPPED and not cells["stop_reason"]:
        found["stop_reason"] = "A stopped infusion needs the reason why it was stopped."
    if status == InfusionStatus.COMPLETED and cells["stop_reason"]:
        found["stop_reason"] = "There is a reason for stopping, but the status is completed."
    if event and not cells["ctcae_grade"]:
        found["ctcae_grade"] = "An adverse event needs its CTCAE grade, 1 to 5."
    if cells["ctcae_grade"] and not event:
        found["adverse_event"] = "There is a CTCAE grade, but no adverse event."
    if cells["emergency_response"].lower() == "yes" and not event:
        found["adverse_event"] = "There was an emergency response, but no adverse event is named."
    return found


def _facts(values: Mapping[str, Any]) -> InfusionFacts:
    event = values["adverse_event"]
    emergency = EMERGENCY[values["emergency_response"]]
    return InfusionFacts(
        given_on=values["infusion_on"],
        started_at_local=values["infusion_start"],
        dose_mg_per_kg=values["dose_mg_per_kg"],
        weight_kg=values["weight_kg"],
        minutes=values["minutes"],
        status=InfusionStatus(values["status"]),
        stop_reason=values["stop_reason"],
        ondansetron_mg=values["ondansetron_mg"],
        adverse_events=(AdverseEventFacts(event, values["ctcae_grade"], emergency),) if event else (),
    )
