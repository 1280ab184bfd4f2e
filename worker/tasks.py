"""Tasks: open a session, call one service, commit. Arguments are ids; what came of it stands in the database."""

from datetime import timedelta

from config.settings import SERVICE, load_settings
from pro_tracker import clock
from pro_tracker.db import Session
from pro_tracker.services import calls, cohort, heartbeats, outbox, receipts, rescoring, visits
from pro_tracker.services.audit import Actor
from worker.celery_app import app
from worker.providers import open_providers

PORTIONS = 5  # of a re-scoring in one task: a few seconds, then a mail may go before the next ones


@app.task(name="outbox.sweep")
def sweep() -> None:
    """Claim what is due, and queue it once the claims are committed."""
    lease, now = timedelta(seconds=load_settings().lease_seconds), clock.now()
    with Session() as session:
        batches = outbox.claim_batches(session, now=now, lease=lease)
        heartbeats.beat(session, "sweep", now=now)
        session.commit()
    for batch in batches:
        deliver.delay(batch)


@app.task(name="outbox.deliver")
def deliver(message_ids: list[int]) -> None:
    """Send claimed messages; with more waiting, sweep again without waiting for beat."""
    settings = load_settings(*SERVICE)
    with Session() as session, open_providers(settings) as providers:
        base_url = settings.text("base_url")
        outbox.deliver_all(session, message_ids, providers=providers, base_url=base_url, clock=clock.now)
        if outbox.is_due(session, now=clock.now()):
            sweep.delay()


@app.task(name="outbox.take_back")
def take_back() -> None:
    """Free what a dead worker held."""
    with Session() as session:
        outbox.take_back(session, now=clock.now())
        session.commit()


@app.task(name="receipts.settle")
def settle_receipts() -> None:
    """Act on reports that came before the note about their message."""
    with Session() as session:
        receipts.settle(session, now=clock.now())
        session.commit()


@app.task(name="calls.open_due")
def open_calls() -> None:
    """Put on the call list what needs a person."""
    with Session() as session:
        calls.open_due(session, now=clock.now())
        session.commit()


@app.task(name="visits.plan_idle")
def plan_idle() -> None:
    """Plan the follow-ups of courses that ended without anybody saying so."""
    with Session() as session:
        visits.plan_idle(session, now=clock.now())
        session.commit()


@app.task(name="aggregates.refresh")
def refresh_aggregates() -> None:
    """Bring the cohort's figures up to what happened since the last time."""
    with Session() as session:
        cohort.refresh(session, now=clock.now())
        session.commit()


@app.task(name="aggregates.rebuild")
def rebuild_aggregates() -> None:
    """Work out all figures of the cohort anew."""
    with Session() as session:
        cohort.rebuild(session, now=clock.now())
        session.commit()


@app.task(name="scores.resume")
def resume_rescoring() -> None:
    """Begin the re-scorings that were asked for, and go on with those that somebody left."""
    with Session() as session:
        left = rescoring.claim_left(session, now=clock.now())
        session.commit()
    for job_id in left:
        rescore.delay(job_id)


@app.task(name="scores.rescore", expires=rescoring.LEASE.total_seconds())  # by then it was queued once more
def rescore(job_id: int) -> None:
    """Re-score a few portions, then let other work come first; where another process is at it, leave it to that one."""
    with Session() as session:
        for _ in range(PORTIONS):
            job = rescoring.step(session, job_id, actor=Actor("service", "scores.rescore"), now=clock.now())
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
