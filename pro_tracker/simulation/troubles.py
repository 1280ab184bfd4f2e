"""What goes wrong or changes in a made-up person's months, from a random stream apart, so that lives stay equal."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from random import Random

from pro_tracker.simulation.figures import DayRange, Figures, TroubleFigures
from pro_tracker.simulation.life import CourseScript, Life, Trouble

HOURS = tuple(f"{hour:02}:{minute:02}" for hour in range(6, 24) for minute in (0, 30))


def troubled(figures: Figures, troubles: TroubleFigures) -> Figures:
    """The cohort's figures with those that a hard simulation raises."""
    people = figures.people.model_copy(update={"withdraw": troubles.withdraw})
    course = figures.course.model_copy(update={"second_course": troubles.second_course})
    return figures.model_copy(update={"people": people, "course": course, "days": troubles.days})


def disturb(life: Life, figures: TroubleFigures, seed: int) -> Life:
    """The same life with its troubles."""
    random = Random(f"{seed}:{life.number}:troubles")
    courses = tuple(_late(script, figures, random) for script in life.courses)
    drawn = (*_of_living(figures, random), *_of_addresses(figures, random), *_of_treatment(life, figures, random))
    mended = timedelta(days=_days(figures.days_to_mend, random)) if random.random() < figures.taken_back else None
    return replace(life, courses=courses, troubles=drawn, returns_after=mended)


def _late(script: CourseScript, figures: TroubleFigures, random: Random) -> CourseScript:
    days = (
        _days(figures.days_late, random) if random.random() < figures.infusion_late else 0 for _ in script.infusions
    )
    return replace(script, days_late=tuple(days))


def _of_living(figures: TroubleFigures, random: Random) -> Iterator[Trouble]:
    """Moves, pauses, wishes."""
    if random.random() < figures.move:
        for _ in range(random.choice((1, 2))):
            yield Trouble(_some_time(figures, random), "move", random.choice(figures.zones))
    if random.random() < figures.pause:
        begins, lasts = _some_time(figures, random), _days(figures.pause_days, random)
        is_open = random.random() < figures.open_pause
        yield Trouble(begins, "pause", None if is_open else lasts)
        if is_open:
            yield Trouble(begins + timedelta(days=lasts), "resume")
    if random.random() < figures.wishes:
        yield Trouble(_some_time(figures, random), "wish", random.choice(HOURS))


def _of_addresses(figures: TroubleFigures, random: Random) -> Iterator[Trouble]:
    """Dead addresses, STOP and START, wrong numbers, and their mending."""
    for what, share, mended, mending in (
        ("dead", figures.dead_address, figures.corrected, "new-email"),
        ("stop", figures.stop, figures.start_again, "start"),
        ("wrong-number", figures.wrong_number, figures.corrected, "new-mobile"),
    ):
        if random.random() < share:
            at = _some_time(figures, random)
            yield Trouble(at, what)
            if random.random() < mended:
                yield Trouble(at + timedelta(days=_days(figures.days_to_mend, random)), mending)


def _of_treatment(life: Life, figures: TroubleFigures, random: Random) -> Iterator[Trouble]:
    """A planned start that moves, infusions written down wrongly and corrected days later."""
    enrolled_on = life.facts.enrolled_on or life.courses[0].start_on
    lead = (life.courses[0].start_on - enrolled_on).days
    if random.random() < figures.plan_moved and lead > 1:
        yield Trouble(_within(1, lead - 1, random), "replan", random.randint(-2, 14))
    for script in life.courses:
        if random.random() < figures.correction:
            last = (script.infusions[-1].given_on - enrolled_on).days
            never = random.random() < figures.never_given
            days = None if never else random.choice((-2, -1, 1, 2))
            yield Trouble(_within(last, last + 30, random), "correct", days)


def _some_time(figures: TroubleFigures, random: Random) -> timedelta:
    return _within(figures.days_of_life.least, figures.days_of_life.most, random)


def _within(first: int, last: int, random: Random) -> timedelta:
    """By day or by night."""
    return timedelta(days=random.randint(first, last), minutes=random.randint(0, 24 * 60 - 1))


def _days(figures: DayRange, random: Random) -> int:
    return random.randint(figures.least, figures.most)
