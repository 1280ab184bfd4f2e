"""Sets up a simulation and runs it to its end. Drives the clock and commits."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import clock
from pro_tracker.db import is_postgresql
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.ledger_check.event_log import EventLog
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services.results import aggregates
from pro_tracker.simulation.cohort import CohortSimulation
from pro_tracker.simulation.concurrent_answers import ConcurrentAnswers
from pro_tracker.simulation.consents import SimulatedConsents, draw_consent
from pro_tracker.simulation.context import SimulationContext
from pro_tracker.simulation.deaths import SimulatedDeaths
from pro_tracker.simulation.delivery_reports import DeliveryReports
from pro_tracker.simulation.event_queue import EventQueue
from pro_tracker.simulation.event_recorder import discard_event
from pro_tracker.simulation.faults import with_fault_parameters, with_injected_events
from pro_tracker.simulation.helper_draws import with_helper
from pro_tracker.simulation.helpers import SimulatedHelpers
from pro_tracker.simulation.injected_events import EventInjector
from pro_tracker.simulation.message_sender import (
    InProcessSender,
    MessageSender,
    PrepareConcurrentAction,
    no_concurrent_action,
)
from pro_tracker.simulation.missed_day_draws import with_missed_days
from pro_tracker.simulation.outages import SimulatedOutage, draw_outages
from pro_tracker.simulation.parameters import (
    EarlierVersionParameters,
    FaultParameters,
    SimulationParameters,
    read_parameters,
)
from pro_tracker.simulation.patient_behaviour import PatientBehaviour
from pro_tracker.simulation.patients import SimulatedPatients
from pro_tracker.simulation.scenario import InjectedEvent, PatientScenario, draw_scenario
from pro_tracker.simulation.second_records import SecondRecords
from pro_tracker.simulation.staged_patients import Staging, with_changed_people
from pro_tracker.simulation.staged_sessions import StagedSessions
from pro_tracker.simulation.treatment import SimulatedTreatment
from pro_tracker.simulation.worker_pool import FaultSchedule, WorkerPool
from pro_tracker.simulation.worker_process import WorkerSetup

WORKERS = 2  # with fault injection
SECOND_STUDY_EVERY = 8  # patients
MOVED_AFTER = timedelta(days=30, hours=7)  # enrolment
LAST_ENROLMENT_BEFORE_END = 21  # days: at the end, every stage of a course occurs in the data
Progress = Callable[[float, datetime], None]


@dataclass(frozen=True)
class FaultSettings:
    """Fault injection: number of workers to kill, path of the event log, and how a worker opens the database.

    `connect` is called in worker processes and must be picklable.
    """

    kills: int
    log_path: Path
    connect: Callable[[], object]


@dataclass(frozen=True)
class SimulationSettings:
    """A cohort of `subjects` patients on one or two protocols, drawn from a seed and simulated up to `until`."""

    protocol: str
    subjects: int
    seed: int
    until: datetime
    faults: FaultSettings | None = None
    second_protocol: str = ""  # of every eighth patient; it has events and instruments of the first


def run_simulation(session: Session, settings: SimulationSettings, progress: Progress) -> Counter[str]:
    """Simulates the cohort into an empty database and returns the number of events of each kind.

    `progress` gets the completed share (0 to 1) and the simulated time. Raises InvalidInput when the database contains
    subjects or no site, or when faults are requested and the protocol has no parameters for them.
    """
    parameters = _parameters(settings)
    scenarios = _scenarios(settings, _site_codes(session), parameters)
    starts_at = settings.until - timedelta(days=parameters.days)
    queue = EventQueue(starts_at)

    def report_progress(now: datetime) -> None:
        progress((now - starts_at) / (settings.until - starts_at), now)

    real_clock = clock.drive(lambda: queue.now)
    try:
        with _environment(session, queue, settings=settings, faults=parameters.faults) as (context, sender):
            cohort = _cohort(context, sender, settings=settings, parameters=parameters)
            cohort.run(scenarios, settings.until, report_progress)
            queue.advance_to(settings.until)
            context.record_event("log-ended")
    finally:
        clock.drive(real_clock)
    aggregates.rebuild(session, now=settings.until)
    session.commit()
    progress(1.0, settings.until)
    return +context.counts  # without the kinds that did not occur


def _parameters(settings: SimulationSettings) -> SimulationParameters:
    """Returns the protocol's parameters, with those of faults only if the settings request faults."""
    parameters = read_parameters(settings.protocol)
    if settings.faults is None:
        return parameters.model_copy(update={"faults": None})
    if parameters.faults is None:
        raise InvalidInput(f"The simulation parameters of {settings.protocol} define no faults.")
    return with_fault_parameters(parameters, parameters.faults)


def _site_codes(session: Session) -> list[str]:
    if session.scalar(select(Subject.id).limit(1)) is not None:
        raise InvalidInput("The database contains patients. Simulate into an empty database: run migrate on a new one.")
    codes = list(session.scalars(select(Site.code).order_by(Site.code)))
    session.rollback()
    if not codes:
        raise InvalidInput("There is no site yet. Run pro-tracker migrate first.")
    return codes


def _scenarios(
    settings: SimulationSettings, site_codes: Sequence[str], parameters: SimulationParameters
) -> list[PatientScenario]:
    """Draws all patients. Enrolments are evenly spaced.

    They last until three weeks before the end; with fault injection, for the first weeks only.
    """
    faults = parameters.faults
    starts_at = settings.until - timedelta(days=parameters.days)
    enrolment_days = faults.enrolment_days if faults else parameters.days - LAST_ENROLMENT_BEFORE_END
    scenarios: list[PatientScenario] = []
    for number in range(1, settings.subjects + 1):
        day = (number - 1) * enrolment_days // settings.subjects
        enrolled_on = (starts_at + timedelta(days=day)).date()
        site_code = site_codes[number % len(site_codes)]
        scenario = draw_scenario(number, site_code, enrolled_on=enrolled_on, parameters=parameters, seed=settings.seed)
        scenarios.append(_with_events(scenario, settings, parameters))
    if parameters.staged_patients and faults is None:
        staging = Staging(settings.until, site_codes[0], parameters, settings.seed)
        staged = staging.draw(settings.subjects + 1)
        if settings.second_protocol:
            staged += staging.draw_consents(settings.subjects + len(staged) + 1, settings.second_protocol)
        scenarios = [*with_changed_people(scenarios), *staged]
    return scenarios


def _with_events(
    scenario: PatientScenario, settings: SimulationSettings, parameters: SimulationParameters
) -> PatientScenario:
    """Returns the scenario with its protocol, missed days, a helper, consent, and what fault injection adds."""
    scenario = with_missed_days(scenario, parameters.missed_days, settings.seed)
    scenario = with_helper(scenario, parameters.helpers, settings.seed)
    scenario = replace(scenario, consent=draw_consent(parameters.consents, scenario.number, settings.seed))
    scenario = _with_protocol(scenario, settings, parameters.earlier_version)
    if parameters.faults is None:
        return scenario
    return with_injected_events(scenario, parameters.faults, settings.seed)


def _with_protocol(
    scenario: PatientScenario, settings: SimulationSettings, earlier: EarlierVersionParameters | None
) -> PatientScenario:
    """Returns the scenario with its protocol: for every eighth patient the second one, an earlier one for the first.

    Some of the latter move to the newest version.
    """
    if settings.second_protocol and scenario.number % SECOND_STUDY_EVERY == 0:
        return replace(scenario, protocol=settings.second_protocol)
    if earlier is None or scenario.number > earlier.share * settings.subjects:
        return scenario
    first = replace(scenario, protocol=f"{settings.protocol}@{earlier.version}")
    return first if scenario.number % earlier.moved_every else _moving(first)


def _moving(scenario: PatientScenario) -> PatientScenario:
    """Returns the scenario of a patient whose course moves to the newest version."""
    move = InjectedEvent(MOVED_AFTER, "protocol-move")
    return replace(scenario, injected_events=(move,))


@contextmanager
def _environment(
    session: Session, queue: EventQueue, *, settings: SimulationSettings, faults: FaultParameters | None
) -> Iterator[tuple[SimulationContext, MessageSender]]:
    """Provides the shared context and the sender.

    With fault injection, worker processes send, providers have outages, and all events go to the event log.
    """
    counts = Counter[str]()
    if settings.faults is None or faults is None:
        yield SimulationContext(session, queue, counts, discard_event), InProcessSender(session)
        return
    log = EventLog(settings.faults.log_path)

    def record_event(event: str, **data: Any) -> None:
        log.add(event, queue.now, **data)

    context = SimulationContext(session, queue, counts, record_event)
    outages = draw_outages(faults, queue.now, settings.seed)
    _schedule_outages(context, outages)
    setup = WorkerSetup(settings.faults.connect, settings.faults.log_path, outages)
    schedule = _fault_schedule(settings, settings.faults, parameters=faults, starts_at=queue.now)
    size = WORKERS if is_postgresql(session) else 1  # SQLite allows a single writer
    pool = WorkerPool(context, setup, log, schedule, size)
    try:
        yield context, pool
    finally:
        pool.close()
        log.close()


def _fault_schedule(
    settings: SimulationSettings, faults: FaultSettings, *, parameters: FaultParameters, starts_at: datetime
) -> FaultSchedule:
    """Draws when workers are killed."""
    random = Random(f"{settings.seed}:kills")
    duration = settings.until - starts_at
    kill_at = [starts_at + random.random() * duration for _ in range(faults.kills)]
    kill_at.sort(reverse=True)
    return FaultSchedule(parameters, settings.seed, kill_at, Random(f"{settings.seed}:moments"))


def _schedule_outages(context: SimulationContext, outages: Sequence[SimulatedOutage]) -> None:
    """Schedules the log entries for the start and the end of each outage."""

    def start(channel: Channel) -> None:
        context.record_event("provider-down", channel=channel)
        context.counts["provider outages"] += 1

    def end(channel: Channel) -> None:
        context.record_event("provider-up", channel=channel)

    for outage in outages:
        context.queue.schedule(outage.from_at, partial(start, outage.channel))
        context.queue.schedule(outage.until_at, partial(end, outage.channel))


def _cohort(
    context: SimulationContext,
    sender: MessageSender,
    *,
    settings: SimulationSettings,
    parameters: SimulationParameters,
) -> CohortSimulation:
    """Connects the parts of a simulation."""
    faults = parameters.faults
    reports = DeliveryReports(context)
    treatment = SimulatedTreatment(context, parameters.protocol)
    behaviour = PatientBehaviour(context, faults, reports) if faults else None
    helpers = SimulatedHelpers(context)
    consents = SimulatedConsents(context, parameters.protocol)
    patients = SimulatedPatients(context, parameters, reports, helpers, behaviour, consents)
    injector = EventInjector(context, treatment, reports, SecondRecords(context, treatment, patients.add, consents))
    prepare: PrepareConcurrentAction = no_concurrent_action
    if faults:
        prepare = ConcurrentAnswers(context, patients, faults.concurrent_answer, settings.seed).prepare
    staged = StagedSessions(context, patients.sessions)
    deaths = SimulatedDeaths(context)
    return CohortSimulation(context, sender, prepare, patients, treatment, injector, staged, deaths, helpers)
