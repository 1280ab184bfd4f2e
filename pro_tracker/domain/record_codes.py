"""Codes of the service's own records: corrections, released data files, incidents, changes of a plan."""

from enum import StrEnum


class CorrectionKind(StrEnum):
    """Which fact staff took back or set anew. Infusions are not here: their old rows stay where they are, voided."""

    COURSE_END = "course-end"
    ANCHOR_DATE = "anchor-date"
    PAUSE = "pause"
    WITHDRAWAL = "withdrawal"


class DefinitionKind(StrEnum):
    """What a released data file is."""

    PROTOCOL = "protocol"
    INSTRUMENT = "instrument"
    TEXT_PACK = "text-pack"


class IncidentKind(StrEnum):
    """What may go wrong with the service as a whole."""

    NOTHING_SWEPT = "nothing-swept"
    MESSAGE_LATE = "message-late"
    PROVIDER_DOWN = "provider-down"


class PlanChange(StrEnum):
    """What a change of facts does to one visit or message of a plan."""

    STAYS = "stays"
    MOVES = "moves"
    GOES = "goes"
    COMES = "comes"
