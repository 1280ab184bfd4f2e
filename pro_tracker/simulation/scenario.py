"""The scenario of one synthetic patient, drawn from the patient's own random stream: equal seeds, equal scenarios."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, auto
from random import Random

from pro_tracker.domain.helper_codes import HelperEnding
from pro_tracker.domain.infusion_codes import InfusionStatus
from pro_tracker.services.enrolment.facts import EnrolmentFacts
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, InfusionFacts
from pro_tracker.services.treatment.missed_infusions import MissedInfusionFacts
from pro_tracker.simulation.answers import PatientTraits, draw_traits
from pro_tracker.simulation.demographics import draw_enrolment, next_weekday
from pro_tracker.simulation.parameters import SimulationParameters

INFUSION_TIMES = (time(8, 30), time(9, 15), time(10, 15), time(11, 0), time(13, 0), time(14, 15))
SECOND_COURSE_AFTER = (100, 150)  # days after the last infusion
WITHDRAWAL_AFTER = (20, 200)  # days after enrolment
LIGHTEST, HEAVIEST = 42, 160  # kg


@dataclass(frozen=True, slots=True)
class MissedDayScenario:
    """A planned day without an infusion, as staff record it. `is_error`: by mistake, which they notice on that day."""

    facts: MissedInfusionFacts
    is_error: bool


@dataclass(frozen=True)
class CourseScenario:
    """The infusions of one course as given, and the reason if it ends early.

    `entry_delays`: days until staff record each infusion; empty means that staff record each on its day.
    """

    start_on: date
    infusions: tuple[InfusionFacts, ...]
    end_reason: str | None
    entry_delays: tuple[int, ...] = ()
    missed: MissedDayScenario | None = None


@dataclass(frozen=True)
class InjectedEvent:
    """A fault or change at a time after enrolment; faults.py defines the kinds and their values."""

    after: timedelta
    kind: str
    value: str | int | None = None


class StagedKind(Enum):
    """Kind of an act of a staged patient, or of staff about the patient's answers. Never stored."""

    ANSWER = auto()
    ANSWER_IN_TWO_LANGUAGES = auto()
    ANSWER_LATE = auto()
    BEGIN = auto()
    AMEND = auto()
    TAP_BY_MISTAKE = auto()
    REPORT_EFFECT = auto()
    REPORT_OPEN_EFFECT = auto()


@dataclass(frozen=True)
class StagedAct:
    """An act at a set time, about the visit that opened last; staged_sessions.py performs it."""

    at: datetime
    kind: StagedKind


@dataclass(frozen=True, slots=True)
class DeathScenario:
    """A death that staff record `after` enrolment, `days_late`, and perhaps revert `reverted_after` that.

    `days_late` None: the day is not known.
    """

    after: timedelta
    days_late: int | None
    reverted_after: timedelta | None


@dataclass(frozen=True, slots=True)
class HelperScenario:
    """A helper whom the patient names, staff correct and staff remove at times after enrolment; None: never.

    `has_dead_mailbox`: mail to the first address bounces. `named_again_after` the removal. `stops_at_mail`: the number
    of the mail by whose link the helper ends them, `reopened_after` which staff open the address again.
    """

    relation: str
    named_after: timedelta
    has_dead_mailbox: bool
    corrected_after: timedelta | None
    removed_after: timedelta | None
    ending: HelperEnding
    named_again_after: timedelta | None
    stops_at_mail: int | None
    reopened_after: timedelta | None


@dataclass(frozen=True, slots=True)
class ConsentScenario:
    """The answer of the patient to the consent form of the study, where it has one.

    `on_paper`: at enrolment, perhaps in an earlier version. Otherwise on the phone, `decides_after` enrolment or,
    without it, before the first answer; who declines then may agree `agrees_after` that. `is_partial`: not to the last
    purpose.
    """

    on_paper: bool = True
    is_earlier_version: bool = False
    is_partial: bool = False
    decides_after: timedelta | None = None
    declines: bool = False
    agrees_after: timedelta | None = None


@dataclass
class PatientScenario:
    """One synthetic patient: facts, traits, future events, and the messages received so far.

    `staged_acts`: a patient with any answers only by them, and is called only by them. `only_consents`: a patient who
    answers no question, and is not called.
    """

    number: int
    random: Random
    facts: EnrolmentFacts
    traits: PatientTraits
    courses: tuple[CourseScenario, ...]
    withdraws_after: timedelta | None
    withdrawal_reverted_after: timedelta | None = None  # after the withdrawal
    born_on: date | None = None  # the right birth date, where the one of `facts` was mistyped
    death: DeathScenario | None = None
    helper: HelperScenario | None = None
    injected_events: tuple[InjectedEvent, ...] = ()
    staged_acts: tuple[StagedAct, ...] = ()
    consent: ConsentScenario = ConsentScenario()
    only_consents: bool = False
    protocol: str = ""  # of the first course, "code" or "code@version"; "": that of the simulation, the newest version
    dead_addresses: set[str] = field(default_factory=set)  # addresses that bounce
    messages_received: dict[int, int] = field(default_factory=dict)  # visit id -> number of messages
    answers_at_message: dict[int, int | None] = field(default_factory=dict)  # visit id -> number of the message

    @property
    def is_staged(self) -> bool:
        """Returns whether the patient does nothing but what is staged."""
        return bool(self.staged_acts) or self.only_consents


def draw_scenario(
    number: int, site_code: str, *, enrolled_on: date, parameters: SimulationParameters, seed: int
) -> PatientScenario:
    """Draws the scenario of the cohort's patient with this number."""
    random = Random(f"{seed}:{number}")  # nosec B311: synthetic data, not secrets
    facts = draw_enrolment(number, site_code, enrolled_on=enrolled_on, parameters=parameters, random=random)
    start_on = facts.planned_start_on or enrolled_on
    planned_infusions = facts.planned_infusions or parameters.course.planned_infusions
    first = _draw_course(start_on, planned_infusions, parameters=parameters, random=random)
    withdraws_after = _draw_withdrawal(parameters, random)
    traits = draw_traits(parameters, random)
    second = _draw_second_course(first, parameters, random)
    return PatientScenario(number, random, facts, traits, (first, *second), withdraws_after)


def answering_message(
    scenario: PatientScenario, visit_id: int, event_code: str, *, parameters: SimulationParameters
) -> int | None:
    """Returns after how many messages the patient answers this visit; None when messages are not enough."""
    if visit_id not in scenario.answers_at_message:
        drawn = _draw_answering_message(scenario.random, event_code, parameters)
        scenario.answers_at_message[visit_id] = drawn
    return scenario.answers_at_message[visit_id]


def _draw_answering_message(random: Random, event_code: str, parameters: SimulationParameters) -> int | None:
    responses = parameters.responses
    answers = random.random() < responses.answered[event_code]
    number = 1
    if event_code not in responses.at_first_message:
        numbers = range(1, len(responses.at_message) + 1)
        number = random.choices(numbers, responses.at_message)[0]
    return number if answers else None


def response_delay(scenario: PatientScenario, parameters: SimulationParameters) -> timedelta:
    """Draws the time from a message to the answer: mostly hours, sometimes days."""
    distribution = parameters.responses.hours_to_answer
    factor = scenario.random.lognormvariate(0, distribution.sigma)
    return timedelta(hours=distribution.median * factor)


def _draw_withdrawal(parameters: SimulationParameters, random: Random) -> timedelta | None:
    if random.random() >= parameters.demographics.withdrawal:
        return None
    return timedelta(days=random.randint(*WITHDRAWAL_AFTER))


def _draw_second_course(
    first: CourseScenario, parameters: SimulationParameters, random: Random
) -> tuple[CourseScenario, ...]:
    """Returns no course or one."""
    if random.random() >= parameters.course.second_course:
        return ()
    days_after = random.randint(*SECOND_COURSE_AFTER)
    start_on = next_weekday(first.infusions[-1].given_on + timedelta(days=days_after))
    course = _draw_course(start_on, parameters.course.planned_infusions, parameters=parameters, random=random)
    return (course,)


def _draw_course(
    start_on: date, planned_infusions: int, *, parameters: SimulationParameters, random: Random
) -> CourseScenario:
    is_completed = random.random() < parameters.course.completed
    count = planned_infusions
    if not is_completed:
        limit = min(planned_infusions, parameters.course.planned_infusions)
        count = random.randint(1, limit - 1)
    weight = _draw_weight(parameters, random)
    days = _weekdays_from(start_on, count)
    infusions = tuple(_draw_infusion(day, weight, parameters, random) for day in days)
    end_reason = None if is_completed else random.choice(parameters.course.end_reasons)
    return CourseScenario(start_on, infusions, end_reason)


def _draw_weight(parameters: SimulationParameters, random: Random) -> Decimal:
    distribution = parameters.course.weight_kg
    drawn = random.gauss(distribution.mean, distribution.sd)
    limited = min(max(drawn, LIGHTEST), HEAVIEST)
    return Decimal(str(round(limited, 1)))


def _weekdays_from(start_on: date, count: int) -> list[date]:
    """Returns `start_on` and the next weekdays after it, `count` days in total."""
    days = [start_on]
    while len(days) < count:
        days.append(next_weekday(days[-1] + timedelta(days=1)))
    return days


def _draw_infusion(day: date, weight: Decimal, parameters: SimulationParameters, random: Random) -> InfusionFacts:
    course = parameters.course
    is_stopped = random.random() < course.stopped_infusion
    return InfusionFacts(
        given_on=day,
        started_at_local=random.choice(INFUSION_TIMES),
        dose_mg_per_kg=Decimal(str(course.dose_mg_per_kg)),
        weight_kg=weight,
        minutes=random.randint(8, course.minutes - 5) if is_stopped else course.minutes,
        status=InfusionStatus.STOPPED if is_stopped else InfusionStatus.COMPLETED,
        stop_reason=random.choice(course.stop_reasons) if is_stopped else None,
        ondansetron_mg=Decimal(4),
        adverse_events=_draw_adverse_events(parameters, random),
    )


def _draw_adverse_events(parameters: SimulationParameters, random: Random) -> tuple[AdverseEventFacts, ...]:
    """Returns no adverse event or one."""
    adverse_events = parameters.adverse_events
    if random.random() >= adverse_events.per_infusion:
        return ()
    term = random.choice(adverse_events.terms)
    grade = 2 if random.random() < adverse_events.grade_2 else 1
    return (AdverseEventFacts(term, grade),)
