"""What one made-up person will do, drawn from their own random stream, so that equal seeds give equal lives."""

from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from random import Random

from pro_tracker.domain.infusion_codes import InfusionStatus
from pro_tracker.services.enrolment.facts import EnrolmentFacts
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, InfusionFacts
from pro_tracker.simulation.answers import Traits, draw_traits
from pro_tracker.simulation.figures import Figures
from pro_tracker.simulation.people import enrolment, next_weekday

STARTS = (time(8, 30), time(9, 15), time(10, 15), time(11, 0), time(13, 0), time(14, 15))
SECOND_COURSE_AFTER = (100, 150)  # days after the last infusion


@dataclass(frozen=True)
class CourseScript:
    """The infusions of one course as they will be given, and why it ends early if it does."""

    start_on: date
    infusions: tuple[InfusionFacts, ...]
    end_reason: str | None
    days_late: tuple[int, ...] = ()  # after which each infusion is written down; none: on its day


@dataclass(frozen=True)
class Trouble:
    """Something that goes wrong or changes so long after enrolment; troubles.py lists what."""

    after: timedelta
    what: str
    value: str | int | None = None


@dataclass
class Life:
    """One person: facts, traits, courses to come, and what they have received so far."""

    number: int
    random: Random
    facts: EnrolmentFacts
    traits: Traits
    courses: tuple[CourseScript, ...]
    withdraws_after: timedelta | None
    returns_after: timedelta | None = None  # days after withdrawing: a misunderstanding
    troubles: tuple[Trouble, ...] = ()
    dead: set[str] = field(default_factory=set)  # addresses that bounce
    messages: dict[int, int] = field(default_factory=dict)  # visit id -> messages received
    intents: dict[int, int | None] = field(default_factory=dict)  # visit id -> the message that they will follow


def draw_life(number: int, site_code: str, enrolled_on: date, figures: Figures, seed: int) -> Life:
    """The cohort's `number`-th person."""
    random = Random(f"{seed}:{number}")  # nosec B311: made-up people, not secrets
    facts = enrolment(number, site_code, enrolled_on, figures=figures, random=random)
    first = _course(
        facts.planned_start_on or enrolled_on, facts.planned_infusions or figures.course.planned, figures, random
    )
    withdraws = timedelta(days=random.randint(20, 200)) if random.random() < figures.people.withdraw else None
    return Life(
        number, random, facts, draw_traits(figures, random), (first, *_second(first, figures, random)), withdraws
    )


def intends(life: Life, visit_id: int, event_code: str, figures: Figures) -> int | None:
    """After how many messages the person will answer this visit; None when messages will not do."""
    if visit_id not in life.intents:
        answering = figures.answering
        willing = life.random.random() < answering.share[event_code]
        steps = range(1, len(answering.after_message) + 1)
        step = 1 if event_code in answering.at_once else life.random.choices(steps, answering.after_message)[0]
        life.intents[visit_id] = step if willing else None
    return life.intents[visit_id]


def time_to_answer(life: Life, figures: Figures) -> timedelta:
    """From the message to the answer: hours mostly, days at times."""
    delay = figures.answering.hours_to_answer
    return timedelta(hours=delay.median * life.random.lognormvariate(0, delay.sigma))


def _second(first: CourseScript, figures: Figures, random: Random) -> tuple[CourseScript, ...]:
    if random.random() >= figures.course.second_course:
        return ()
    later = first.infusions[-1].given_on + timedelta(days=random.randint(*SECOND_COURSE_AFTER))
    return (_course(next_weekday(later), figures.course.planned, figures, random),)


def _course(start_on: date, planned: int, figures: Figures, random: Random) -> CourseScript:
    complete = random.random() < figures.course.five_or_more
    given = planned if complete else random.randint(1, min(planned, figures.course.planned) - 1)
    weight = Decimal(
        str(round(min(max(random.gauss(figures.course.weight_kg.mean, figures.course.weight_kg.sd), 42), 160), 1))
    )
    days = [start_on]
    while len(days) < given:
        days.append(next_weekday(days[-1] + timedelta(days=1)))
    infusions = tuple(_infusion(day, weight, figures, random) for day in days)
    return CourseScript(start_on, infusions, None if complete else random.choice(figures.course.end_reasons))


def _infusion(day: date, weight: Decimal, figures: Figures, random: Random) -> InfusionFacts:
    course = figures.course
    stopped = random.random() < course.stopped_infusion
    return InfusionFacts(
        given_on=day,
        started_at_local=random.choice(STARTS),
        dose_mg_per_kg=Decimal(str(course.dose_mg_per_kg)),
        weight_kg=weight,
        minutes=random.randint(8, course.minutes - 5) if stopped else course.minutes,
        status=InfusionStatus.STOPPED if stopped else InfusionStatus.COMPLETED,
        stop_reason=random.choice(course.stop_reasons) if stopped else None,
        ondansetron_mg=Decimal(4),
        adverse_events=_adverse_events(figures, random),
    )


def _adverse_events(figures: Figures, random: Random) -> tuple[AdverseEventFacts, ...]:
    events = figures.adverse_events
    if random.random() >= events.per_infusion:
        return ()
    return (AdverseEventFacts(random.choice(events.terms), 2 if random.random() < events.grade_2 else 1),)
