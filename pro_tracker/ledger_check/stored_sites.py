"""Reads with plain SQL at which site courses, patients and figures are. Works on PostgreSQL and SQLite."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

COURSES = "SELECT course.id, site.code AS site FROM course JOIN site ON site.id = course.site_id"
PATIENTS = "SELECT subject.id, site.code AS site FROM subject JOIN site ON site.id = subject.site_id"
FIGURES = (
    "SELECT protocol_code, event_code, site_code, MAX(n_expected) AS expected, MAX(refreshed_at) AS refreshed_at"
    " FROM aggregate WHERE site_code <> '*' GROUP BY protocol_code, event_code, site_code"
)
# Of a merged record the kept one says whether data may be used, and a course that is recorded twice counts nowhere.
# As the results page describes them: the window has opened, or the visit ended for what happened to the patient.
VISITS = (
    "SELECT course.protocol_code, course.protocol_version, visit.event_code, site.code AS site, visit.opens_at,"
    " visit.completed_at, visit.stopped_at, visit.voided_at, visit.void_reason, protocol_event.is_optional,"
    " subject.id AS person"
    " FROM visit JOIN course ON course.id = visit.course_id"
    " JOIN site ON site.id = course.site_id JOIN subject AS record ON record.id = course.subject_id"
    " JOIN subject ON subject.id = COALESCE(record.merged_into_id, record.id)"
    " LEFT JOIN protocol_event ON protocol_event.protocol_code = visit.protocol_code"
    " AND protocol_event.protocol_version = visit.protocol_version AND protocol_event.event_code = visit.event_code"
    " WHERE course.duplicate_by_id IS NULL AND (subject.withdrawn_scope IS NULL OR subject.withdrawn_scope <> 'data')"
)
# Follow-ups of treated patients without a visit, since the patient had withdrawn or died before they were planned.
UNPLANNED = (
    "SELECT course.protocol_code, course.protocol_version, protocol_event.event_code, site.code AS site,"
    " subject.id AS person FROM course"
    " JOIN site ON site.id = course.site_id JOIN subject AS record ON record.id = course.subject_id"
    " JOIN subject ON subject.id = COALESCE(record.merged_into_id, record.id)"
    " JOIN protocol_event ON protocol_event.protocol_code = course.protocol_code"
    " AND protocol_event.protocol_version = course.protocol_version"
    " WHERE course.duplicate_by_id IS NULL AND (subject.withdrawn_scope IS NULL OR subject.withdrawn_scope <> 'data')"
    " AND (subject.withdrawn_at IS NOT NULL OR subject.death_recorded_at IS NOT NULL)"
    " AND protocol_event.anchor IN ('course-start', 'first-infusion', 'last-infusion')"
    " AND NOT protocol_event.is_optional"
    " AND EXISTS (SELECT 1 FROM infusion WHERE infusion.course_id = course.id AND infusion.voided_at IS NULL)"
    " AND NOT EXISTS (SELECT 1 FROM visit WHERE visit.course_id = course.id"
    " AND visit.event_code = protocol_event.event_code"
    " AND (visit.void_reason IS NULL OR visit.void_reason <> 'no-date'))"
)
INTERCURRENT = ("withdrawn", "died", "new-course")


class Group(NamedTuple):
    """One study event of one protocol at one site."""

    protocol: str
    event: str
    site: str


@dataclass(frozen=True)
class StoredSites:
    """Site codes by course id and by patient; visits that figures expect, and visits counted from the tables.

    `counted` leaves out protocols with courses of several versions, whose batteries may differ. Both are empty where no
    figures are stored.
    """

    courses: Mapping[str, str]
    patients: Mapping[str, str]
    expected: Mapping[Group, int]
    counted: Mapping[Group, int]


def read_sites(connection: Connection, left_out: frozenset[str]) -> StoredSites:
    """Returns the sites as stored. `left_out`: people who did not agree to research, in none of the figures."""
    figures = connection.execute(text(FIGURES)).all()
    expected = {Group(row.protocol_code, row.event_code, row.site_code): row.expected for row in figures}
    refreshed_at = max((_moment(row.refreshed_at) for row in figures), default=None)
    counted = _counted(connection, refreshed_at, left_out) if refreshed_at else {}
    return StoredSites(_sites(connection, COURSES), _sites_of_patients(connection), expected, counted)


def _sites(connection: Connection, rows: str) -> Mapping[str, str]:
    return {str(row.id): row.site for row in connection.execute(text(rows))}


def _sites_of_patients(connection: Connection) -> Mapping[str, str]:
    stored = _sites(connection, PATIENTS)
    return {_id(subject_id): site for subject_id, site in stored.items()}


def _id(value: Any) -> str:
    """Returns a UUID in its canonical form. SQLite stores 32 digits without hyphens."""
    return str(UUID(str(value)))


def _counted(connection: Connection, as_of: datetime, left_out: frozenset[str]) -> Mapping[Group, int]:
    """The visits that an answer was expected to by this time, by the site of their course."""
    counted: Counter[Group] = Counter()
    versions: dict[str, set[str]] = defaultdict(set)
    for row in connection.execute(text(VISITS)):
        versions[row.protocol_code].add(row.protocol_version)
        if _is_expected(row, as_of) and _id(row.person) not in left_out:
            counted[Group(row.protocol_code, row.event_code, row.site)] += 1
    for row in connection.execute(text(UNPLANNED)):
        if _id(row.person) not in left_out:
            counted[Group(row.protocol_code, row.event_code, row.site)] += 1
    return {group: count for group, count in counted.items() if len(versions[group.protocol]) == 1}


def _is_expected(row: Any, as_of: datetime) -> bool:
    if row.completed_at is not None or row.stopped_at is not None:
        return True
    opens_at = _moment(row.opens_at)
    if row.voided_at is None:
        return opens_at <= as_of
    if row.void_reason in INTERCURRENT and not row.is_optional:
        return True
    return row.void_reason != "no-date" and _moment(row.voided_at) > opens_at


def _moment(value: Any) -> datetime:
    """Returns a UTC time. SQLite stores times as text without a zone, in UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
