"""Sets a simulation up and lets it run to its end. An edge: it drives the clock and commits."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import clock
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services import cohort as cohort_figures, outbox
from pro_tracker.simulation import figures
from pro_tracker.simulation.calendar import Calendar
from pro_tracker.simulation.cohort import Cohort
from pro_tracker.simulation.life import Life, draw_life
from pro_tracker.simulation.patient import Patients
from pro_tracker.simulation.postbox import Postbox

BASE_URL = "https://simulation.invalid"
Progress = Callable[[float, datetime], None]


def run(
    session: Session, protocol: str, *, subjects: int, seed: int, until: datetime, progress: Progress
) -> Counter[str]:
    """Live `subjects` people's months up to `until`; returns what was counted.

    `progress` gets the share done (0..1) and the simulated moment. Raises InvalidInput when somebody is enrolled.
    """
    expected = figures.read(protocol)
    sites = _sites(session)
    starts_at = until - timedelta(days=expected.days)
    lives = [_life(number, subjects, sites, expected, starts_at, seed) for number in range(1, subjects + 1)]
    calendar = Calendar(starts_at)
    previous = clock.drive(lambda: calendar.now)
    try:
        cohort = _cohort(session, expected, calendar, until)
        cohort.live(lives, lambda now: progress((now - starts_at) / (until - starts_at), now))
    finally:
        clock.drive(previous)
    cohort_figures.rebuild(session, now=until)
    session.commit()
    progress(1.0, until)
    return cohort.counts


def _cohort(session: Session, expected: figures.Figures, calendar: Calendar, until: datetime) -> Cohort:
    postbox, counts = Postbox(), Counter[str]()
    providers = {"email": postbox, "sms": postbox}
    deliver = partial(outbox.deliver, session, providers=providers, base_url=BASE_URL, clock=lambda: calendar.now)
    patients = Patients(session, expected, calendar, postbox, deliver, counts)
    return Cohort(session, expected, calendar, patients, until, counts)


def _sites(session: Session) -> list[str]:
    if session.scalar(select(Subject.id).limit(1)) is not None:
        raise InvalidInput("Somebody is enrolled already. Simulate into an empty database: run migrate on a new one.")
    sites = list(session.scalars(select(Site.code).order_by(Site.code)))
    session.rollback()
    if not sites:
        raise InvalidInput("There is no site yet. Run pro-tracker migrate first.")
    return sites


def _life(
    number: int, subjects: int, sites: list[str], expected: figures.Figures, starts_at: datetime, seed: int
) -> Life:
    """People come at an even pace until three weeks before the end, so that every stage of a course is there."""
    days = (number - 1) * (expected.days - 21) // subjects
    return draw_life(number, sites[number % len(sites)], (starts_at + timedelta(days=days)).date(), expected, seed)
