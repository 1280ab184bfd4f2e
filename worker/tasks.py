"""Tasks: open a session, call one service, commit. Arguments are ids; what came of it stands in the database."""

from datetime import timedelta

from sqlalchemy.orm import Session as OrmSession

from config.settings import SERVICE_SETTINGS, load_settings
from pro_tracker import clock
from pro_tracker.db import Session
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls, unanswered
from pro_tracker.services.operations import heartbeats
from pro_tracker.services.planning import idle_courses
from pro_tracker.services.rescoring import jobs
from pro_tracker.services.results import aggregates
from pro_tracker.services.sending import delivery_reports, outbox
from worker.celery_app import app
from worker.providers import open_setup, per_second

PORTIONS_PER_TASK = 5  # of a re-scoring in one task: a few seconds, then a mail may go before the next ones


@app.task(name="outbox.sweep")
def sweep() -> None:
    """Claim what is due and queue it."""
    with Session() as session:
        _sweep(session)


@app.task(name="outbox.deliver")
def deliver(message_ids: list[int]) -> None:
    """Send claimed messages and sweep again, without waiting for beat."""
    with Session() as session, open_setup(load_settings(*SERVICE_SETTINGS)) as setup:
        held_back = outbox.deliver_all(session, message_ids, setup=setup, clock=clock.now)
        _sweep(session)
    if held_back:  # by a rate a second: their turn comes before beat's next tick
        sweep.apply_async(countdown=1, expires=60)


@app.task(name="outbox.recover_expired")
def recover_expired() -> None:
    """Settle what a dead worker held."""
    with Session() as session, open_setup(load_settings(*SERVICE_SETTINGS)) as setup:
        outbox.recover_expired(session, setup=setup, clock=clock.now)


@app.task(name="delivery_reports.process")
def record_delivery_reports() -> None:
    """Act on reports that came before the note about their message."""
    with Session() as session:
        for delivery_report_id in delivery_reports.waiting(session, now=clock.now()):
            delivery_reports.process(session, delivery_report_id, now=clock.now())
            session.commit()


@app.task(name="calls.open_due")
def open_calls() -> None:
    """Put on the call list what needs a person."""
    with Session() as session:
        calls.open_due(session, now=clock.now())
        session.commit()


@app.task(name="visits.record_missed")
def record_missed() -> None:
    """Write down why visits ended without answers."""
    with Session() as session:
        unanswered.record_missed(session, now=clock.now())
        session.commit()


@app.task(name="visits.plan_idle")
def plan_idle() -> None:
    """Plan the follow-ups of courses that ended without anybody saying so."""
    with Session() as session:
        idle_courses.plan_idle(session, now=clock.now())
        session.commit()


@app.task(name="aggregates.refresh")
def refresh_aggregates() -> None:
    """Bring the cohort's figures up to what happened since the last time."""
    with Session() as session:
        aggregates.refresh(session, now=clock.now())
        session.commit()


@app.task(name="aggregates.rebuild")
def rebuild_aggregates() -> None:
    """Work out all figures of the cohort anew."""
    with Session() as session:
        aggregates.rebuild(session, now=clock.now())
        session.commit()


@app.task(name="scores.resume")
def resume_rescoring() -> None:
    """Begin the re-scorings that were asked for, and go on with those that somebody left."""
    with Session() as session:
        left = jobs.claim_abandoned(session, now=clock.now())
        session.commit()
    for job_id in left:
        rescore.delay(job_id)


@app.task(name="scores.rescore", expires=jobs.LEASE.total_seconds())  # by then it was queued once more
def rescore(job_id: int) -> None:
    """Re-score a few portions, then let other work come first; where another process is at it, leave it to that one."""
    with Session() as session:
        for _ in range(PORTIONS_PER_TASK):
            job = jobs.step(session, job_id, actor=Actor(ActorKind.SERVICE, "scores.rescore"), now=clock.now())
            session.commit()
            if job is None or job.finished_at is not None:
                return
    rescore.delay(job_id)


@app.task(name="heartbeat.beat")
def beat() -> None:
    """Beat queued this and a worker ran it."""
    with Session() as session:
        heartbeats.beat(session, "beat", "worker", now=clock.now())
        session.commit()


def _sweep(session: OrmSession) -> None:
    """Claims are committed before they are queued: the table is the truth, and a queue that forgets costs a lease."""
    settings, now = load_settings(), clock.now()
    lease, rates = timedelta(seconds=settings.lease_seconds), per_second(settings)
    batches = outbox.claim_batches(session, now=now, lease=lease, per_second=rates)
    heartbeats.beat(session, "sweep", now=now)
    session.commit()
    for batch in batches:
        deliver.delay(batch)
