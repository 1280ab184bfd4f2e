"""Codes of the service's own records: corrections, definitions, incidents, changes of a plan."""

from enum import StrEnum


class CorrectionKind(StrEnum):
    """The kind of fact that staff replaced or reverted. A corrected infusion keeps its own voided row instead."""

    COURSE_END = "course-end"
    ANCHOR_DATE = "anchor-date"
    PAUSE = "pause"
    WITHDRAWAL = "withdrawal"
    RESPONSE = "response"
    DEATH = "death"
    PROTOCOL = "protocol"


class DefinitionKind(StrEnum):
    """The kind of data file that a definition releases."""

    PROTOCOL = "protocol"
    INSTRUMENT = "instrument"
    TEXT_PACK = "text-pack"
    CONSENT = "consent"


class IncidentKind(StrEnum):
    """The kind of failure of the service that an incident records."""

    NOTHING_SWEPT = "nothing-swept"
    MESSAGE_LATE = "message-late"
    PROVIDER_DOWN = "provider-down"


class PlanChange(StrEnum):
    """The effect of a change on one visit or message of a plan: unchanged, moved, removed or added."""

    STAYS = "stays"
    MOVES = "moves"
    GOES = "goes"
    COMES = "comes"
