"""Sets a simulation up and lets it run to its end. An edge: it drives the clock and commits."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import clock
from pro_tracker.db import is_postgresql
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.ledger_check.outside import OutsideRecord
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services.results import aggregates as cohort_figures
from pro_tracker.simulation import figures
from pro_tracker.simulation.calendar import Calendar
from pro_tracker.simulation.cohort import Cohort
from pro_tracker.simulation.figures import TroubleFigures
from pro_tracker.simulation.life import Life, draw_life
from pro_tracker.simulation.mishaps import Mishaps
from pro_tracker.simulation.outages import PlannedOutage, draw_outages
from pro_tracker.simulation.patient import Patients
from pro_tracker.simulation.races import Races
from pro_tracker.simulation.sending import InThisProcess, SimulatedSender, nothing
from pro_tracker.simulation.telling import Tell, nobody
from pro_tracker.simulation.treatment import SimulatedTreatment
from pro_tracker.simulation.troubles import disturb, troubled
from pro_tracker.simulation.whims import Whims
from pro_tracker.simulation.workers import Fate, InWorkers, SendingHarness

WORKERS = 2  # at once, in a hard simulation
STILL_IN_TREATMENT = 21  # days before the end at which the last people come, so that every stage of a course is there
Progress = Callable[[float, datetime], None]


@dataclass(frozen=True)
class Hardship:
    """A hard simulation: how many workers are killed, where the outside record goes, how a worker opens the database.

    `connect` is called in the worker's process, so it must be a function that can be pickled.
    """

    kills: int
    record: Path
    connect: Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """Who is simulated up to when: so many people following a protocol, drawn from a seed."""

    protocol: str
    subjects: int
    seed: int
    until: datetime
    hardship: Hardship | None = None


@dataclass(frozen=True)
class Stage:
    """What all parts of a simulation act on, who hands over, and who is told what happened."""

    session: Session
    calendar: Calendar
    counts: Counter[str]
    sender: SimulatedSender
    tell: Tell


def run(session: Session, setting: Setting, progress: Progress) -> Counter[str]:
    """Live these people's months; returns what was counted.

    `progress` gets the share done (0..1) and the simulated moment. Raises InvalidInput when somebody is enrolled, and
    when hardship is asked for and the protocol's figures have none.
    """
    expected, sites, until = _expected(setting), _sites(session), setting.until
    starts_at = until - timedelta(days=expected.days)
    lives = [_life(number, setting, sites, expected) for number in range(1, setting.subjects + 1)]
    calendar, counts = Calendar(starts_at), Counter[str]()
    previous = clock.drive(lambda: calendar.now)
    try:
        with _stage(session, calendar, counts, setting=setting, troubles=expected.troubles) as stage:
            cohort = _cohort(stage, setting, expected)
            cohort.live(lives, until, lambda now: progress((now - starts_at) / (until - starts_at), now))
            calendar.move_to(until)
            stage.tell("ended")
    finally:
        clock.drive(previous)
    cohort_figures.rebuild(session, now=until)
    session.commit()
    progress(1.0, until)
    return +counts


def _expected(setting: Setting) -> figures.Figures:
    """The protocol's figures, with troubles only where hardship is asked for."""
    known = figures.read(setting.protocol)
    if setting.hardship is None:
        return known.model_copy(update={"troubles": None})
    if known.troubles is None:
        raise InvalidInput(f"The figures of {setting.protocol} list no troubles.")
    return troubled(known, known.troubles)


@contextmanager
def _stage(
    session: Session, calendar: Calendar, counts: Counter[str], *, setting: Setting, troubles: TroubleFigures | None
) -> Iterator[Stage]:
    """With hardship messages leave from worker processes, providers go down, and the outside record is told of all."""
    hardship = setting.hardship
    if hardship is None or troubles is None:
        yield Stage(session, calendar, counts, InThisProcess(session), nobody)
        return
    record, outages = OutsideRecord(hardship.record), draw_outages(troubles, calendar.now, setting.seed)
    team = InWorkers(
        session,
        SendingHarness(hardship.connect, hardship.record, outages),
        record,
        counts,
        Fate(troubles, setting.seed, _kills(setting, hardship, calendar.now), Random(f"{setting.seed}:moments")),
        size=WORKERS if is_postgresql(session) else 1,  # SQLite has one sender
    )
    stage = Stage(session, calendar, counts, team, lambda what, **facts: record.add(what, calendar.now, **facts))
    _expect_outages(stage, outages)
    try:
        yield stage
    finally:
        team.close()
        record.close()


def _kills(setting: Setting, hardship: Hardship, starts_at: datetime) -> list[datetime]:
    """When workers are killed, the last time first."""
    random, months = Random(f"{setting.seed}:kills"), setting.until - starts_at
    return sorted((starts_at + random.random() * months for _ in range(hardship.kills)), reverse=True)


def _expect_outages(stage: Stage, outages: Sequence[PlannedOutage]) -> None:
    """The record says when each provider goes down and comes back."""

    def happen(what: str, channel: str, counted: int) -> None:
        stage.tell(what, channel=channel)
        stage.counts["outages of a provider"] += counted

    for each in outages:
        stage.calendar.add(each.from_at, partial(happen, "down", each.channel, 1))
        stage.calendar.add(each.until_at, partial(happen, "up", each.channel, 0))


def _cohort(stage: Stage, setting: Setting, expected: figures.Figures) -> Cohort:
    session, calendar, counts, tell = stage.session, stage.calendar, stage.counts, stage.tell
    treatment = SimulatedTreatment(session, calendar, expected.protocol, counts, tell)
    mishaps = Mishaps(session, calendar, treatment, counts, tell)
    troubles = expected.troubles
    whims = Whims(session, calendar, troubles, mishaps, counts, tell) if troubles else None
    patients = Patients(session, expected, calendar, mishaps, whims, counts, tell)
    races = Races(session, calendar, patients, troubles.race, setting.seed, counts, tell) if troubles else None
    meanwhile = races.with_one_of if races else nothing
    return Cohort(session, calendar, stage.sender, meanwhile, patients, treatment, mishaps, counts, tell)


def _sites(session: Session) -> list[str]:
    if session.scalar(select(Subject.id).limit(1)) is not None:
        raise InvalidInput("Somebody is enrolled already. Simulate into an empty database: run migrate on a new one.")
    sites = list(session.scalars(select(Site.code).order_by(Site.code)))
    session.rollback()
    if not sites:
        raise InvalidInput("There is no site yet. Run pro-tracker migrate first.")
    return sites


def _life(number: int, setting: Setting, sites: list[str], expected: figures.Figures) -> Life:
    """People come at an even pace: until three weeks before the end, in a hard simulation within its first weeks."""
    troubles, starts_at = expected.troubles, setting.until - timedelta(days=expected.days)
    pace = troubles.enrolment_days if troubles else expected.days - STILL_IN_TREATMENT
    on = (starts_at + timedelta(days=(number - 1) * pace // setting.subjects)).date()
    life = draw_life(number, sites[number % len(sites)], on, expected, setting.seed)
    return disturb(life, troubles, setting.seed) if troubles else life
