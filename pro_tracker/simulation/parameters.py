"""Reads the simulation parameters of a protocol (<protocol>.yaml in this folder) into typed objects."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pro_tracker.domain.alert_codes import AlertOutcome
from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.languages import SOURCE
from pro_tracker.services.instruments.data_files import FileModel, load_yaml, read_as


class NormalDistribution(FileModel):
    """Mean and standard deviation."""

    mean: float
    sd: float


class LogNormalDistribution(FileModel):
    """The median, and sigma of the logarithm."""

    median: float
    sigma: float


class DayRange(FileModel):
    """A number of days; both limits are inclusive."""

    minimum: int
    maximum: int


class MinuteRange(FileModel):
    """A number of minutes; both limits are inclusive."""

    minimum: int
    maximum: int


class EarlierVersionParameters(FileModel):
    """The version of the first `share` of the patients; every `moved_every`-th of them moves to the newest one."""

    version: str
    share: float
    moved_every: int


class DemographicParameters(FileModel):
    """Shares of patients, the age in years, and the pool of synthetic names."""

    female: float
    age: NormalDistribution
    languages: dict[str, float]  # other than English
    email_only: float
    mobile_only: float
    no_contact: float
    withdrawal: float
    given_names: list[str]
    family_names: list[str]


class CourseParameters(FileModel):
    """The size and the course of treatments; `planned_infusions` is the usual plan."""

    planned_infusions: int
    completed: float
    longer_plan: float
    stopped_infusion: float
    second_course: float
    lead_days: DayRange
    dose_mg_per_kg: float
    minutes: int
    weight_kg: NormalDistribution
    stop_reasons: list[str]
    end_reasons: list[str]


class MissedDayParameters(FileModel):
    """The share of courses with a missed day, and what staff say of these days."""

    per_course: float
    rescheduled: float  # of these days: moved to the next weekday; of the others the patient did not come
    undecided: float  # of the others: no other day is agreed at first
    entered_in_error: float  # of courses: staff say it of the wrong patient, and void it


class HelperParameters(FileModel):
    """The share of patients who name a helper, and shares of these helpers."""

    named: float
    relations: list[str]
    days_to_agreement: DayRange  # after enrolment
    days_to_change: DayRange  # of each of the following
    dead_mailbox: float  # mail to the helper bounces
    corrected: float  # staff correct the address
    removed: float  # by the patient's or the helper's wish, or since it was entered wrongly
    named_again: float  # of those removed
    stopped: float  # the helper ends the mails by the link in one of the first `most_mails`
    most_mails: int = Field(ge=1)
    reopened: float  # of those stopped: the helper asks staff for the mails again


class ConsentParameters(FileModel):
    """Shares of patients whose study has a consent form, by how they answer it."""

    on_paper: float  # at enrolment; the others on their phone, before the first answer
    earlier_version: float  # of papers: an earlier version, where there is one
    partial: float  # not to the last purpose
    declined: float  # of those on the phone
    agreed_later: float  # of those who declined
    days_to_agreement: DayRange


class AdverseEventParameters(FileModel):
    """The share of infusions with an adverse event, and of these the share of grade 2."""

    per_infusion: float
    terms: list[str]
    grade_2: float


class ResponseParameters(FileModel):
    """Shares and times that say whether, when and how patients answer."""

    answered: dict[str, float]
    at_message: list[float]
    at_first_message: list[str]
    hours_to_answer: LogNormalDistribution
    reached_by_call: float
    days_to_call: DayRange
    skipped_item: float


class AnsweringParameters(FileModel):
    """Shares of answered visits in which something special happens."""

    language_change: float  # the reader changes the language on the way
    not_sent: float  # the patient stops on the way and sends nothing
    older_device: float  # an answer that another device kept arrives after newer ones
    late: float  # an answer arrives after the visit was sent
    amended: float  # staff correct an answer a day later


class InstrumentParameters(FileModel):
    """Scores of the scale `total`: T-scores where the instrument has a score table, otherwise raw scores."""

    baseline: NormalDistribution
    change: dict[str, float]
    change_sd: float


class OptionParameters(FileModel):
    """Shares of the option codes, in the order of the options, of every item and of those `items` that differ."""

    every_item: list[float]
    items: dict[str, list[float]] = Field({})


class WrittenParameters(FileModel):
    """The share of patients who write a text of their own, and the texts by language, else in English."""

    share: float
    texts: dict[str, list[str]]

    def in_language(self, language: str) -> list[str]:
        """Returns the texts in this language, else in English."""
        return self.texts.get(language) or self.texts[SOURCE]


class AlertParameters(FileModel):
    """Shares of alerts, and what staff note for each outcome."""

    by_mistake: float  # the patient takes the answer back at once
    calls: list[float]  # the patient is reached at the first, second ... call
    done: dict[Annotated[AlertOutcome, Field(strict=False)], str]


class FaultParameters(FileModel):
    """Shares that fault injection adds. The data file defines the base of each share."""

    days: int
    enrolment_days: int
    event_days: DayRange
    withdrawal: float
    second_course: float
    late_entry: float
    entry_delay_days: DayRange
    time_zone_change: float
    time_zones: list[str]
    dead_mailbox: float
    opt_out: float
    opt_in_again: float
    wrong_number: float
    address_corrected: float
    days_to_correction: DayRange
    pause: float
    pause_days: DayRange
    open_ended_pause: float
    preference_change: float
    planned_start_change: float
    infusion_correction: float
    infusion_removal: float
    second_record: float
    withdrawal_reverted: float
    transfer: float
    mistyped_birth_date: float
    death: float
    death_reverted: float
    snooze: float
    link_request: float
    delivery_report: float
    call_outcomes: dict[Annotated[CallAttemptOutcome, Field(strict=False)], int]
    outages: int
    outage_minutes: MinuteRange
    silent_outage: float
    duplicate_batch: float
    concurrent_answer: float
    answering: AnsweringParameters
    missed_days: MissedDayParameters
    helpers: HelperParameters
    consents: ConsentParameters


class SimulationParameters(FileModel):
    """The whole file."""

    protocol: str
    consent_version: str
    days: int = Field(gt=0)
    earlier_version: EarlierVersionParameters | None = None
    demographics: DemographicParameters
    course: CourseParameters
    adverse_events: AdverseEventParameters
    responses: ResponseParameters
    answering: AnsweringParameters
    missed_days: MissedDayParameters
    helpers: HelperParameters
    consents: ConsentParameters
    shared_improvement: float = Field(ge=0, le=1)
    instruments: dict[str, InstrumentParameters]
    options: dict[str, OptionParameters] = Field({})
    free_lines: WrittenParameters | None = None  # of visits whose checklist has the line
    own_goals: WrittenParameters  # of the patients who are asked
    alerts: AlertParameters | None = None
    staged_patients: bool = False
    faults: FaultParameters | None = None


def read_parameters(protocol: str) -> SimulationParameters:
    """Returns the parameters of a protocol.

    Raises InvalidInput when there is no file for the protocol, InvalidDataFile when the file has errors.
    """
    files = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}
    if protocol not in files:
        available = ", ".join(files)
        raise InvalidInput(f"There are no simulation parameters for {protocol}. Available: {available}.")
    return read_as(SimulationParameters, _content(files, protocol))


def _content(files: Mapping[str, Path], protocol: str) -> dict[str, Any]:
    """Returns the keys of the file, and those of the file that it is based on for keys that it lacks."""
    content = load_yaml(files[protocol])
    based_on = content.pop("based_on", None)
    if based_on is None:
        return content
    return {**load_yaml(files[based_on]), **content}
