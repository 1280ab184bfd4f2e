"""Reads a cohort's figures (<protocol>.yaml beside this file) into typed objects. Judges nothing but their form."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.services.instruments.data_files import FileModel, load_yaml, read_as


class Normal(FileModel):
    """Mean and standard deviation."""

    mean: float
    sd: float


class DayRange(FileModel):
    """Both ends are possible."""

    least: int
    most: int


class Minutes(FileModel):
    """Both ends are possible."""

    least: int
    most: int


class LogNormal(FileModel):
    """Median, and sigma of the logarithm."""

    median: float
    sigma: float


class People(FileModel):
    female: float
    age: Normal
    spanish: float
    email_only: float
    mobile_only: float
    neither: float
    withdraw: float
    given_names: list[str]
    family_names: list[str]


class CourseFigures(FileModel):
    planned: int
    five_or_more: float
    more_than_five: float
    stopped_infusion: float
    second_course: float
    lead_days: DayRange
    dose_mg_per_kg: float
    minutes: int
    weight_kg: Normal
    stop_reasons: list[str]
    end_reasons: list[str]


class AdverseEventFigures(FileModel):
    per_infusion: float
    terms: list[str]
    grade_2: float


class Answering(FileModel):
    share: dict[str, float]
    after_message: list[float]
    at_once: list[str]
    hours_to_answer: LogNormal
    reached_by_call: float
    days_to_call: DayRange
    skips_an_item: float


class InstrumentFigures(FileModel):
    """Of the scale `total`, in T where the instrument has a score table, else in raw points."""

    baseline: Normal
    change: dict[str, float]
    change_sd: float


class TroubleFigures(FileModel):
    """What a hard simulation adds; the data file says what each is a share of."""

    days: int
    enrolment_days: int
    days_of_life: DayRange
    withdraw: float
    second_course: float
    infusion_late: float
    days_late: DayRange
    move: float
    zones: list[str]
    dead_address: float
    stop: float
    start_again: float
    wrong_number: float
    corrected: float
    days_to_mend: DayRange
    pause: float
    pause_days: DayRange
    open_pause: float
    wishes: float
    plan_moved: float
    correction: float
    never_given: float
    taken_back: float
    snooze: float
    fresh_link: float
    report: float
    calls: dict[Annotated[CallAttemptOutcome, Field(strict=False)], int]
    outages: int
    outage_minutes: Minutes
    silent: float
    given_twice: float
    race: float


class Figures(FileModel):
    """The whole file."""

    protocol: str
    consent_version: str
    days: int = Field(gt=0)
    people: People
    course: CourseFigures
    adverse_events: AdverseEventFigures
    answering: Answering
    shared_improvement: float = Field(ge=0, le=1)
    instruments: dict[str, InstrumentFigures]
    troubles: TroubleFigures | None = None


def read(protocol: str) -> Figures:
    """The figures for a protocol. Raises InvalidDataFile naming what is wrong, InvalidInput when there are none."""
    known = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}
    if protocol not in known:
        raise InvalidInput(f"There are no figures to simulate {protocol} by; there are for {', '.join(known)}.")
    return read_as(Figures, load_yaml(known[protocol]))
