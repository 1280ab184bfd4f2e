"""Celery tasks: each opens a session, calls one service and commits. Arguments are ids, results are in the database."""

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

PORTIONS_PER_TASK = 5  # of a re-scoring: a few seconds, then waiting mails are sent before the next portions


@app.task(name="outbox.sweep")
def sweep() -> None:
    """Claims due messages and queues them for sending."""
    with Session() as session:
        _sweep(session)


@app.task(name="outbox.deliver")
def deliver(message_ids: list[int]) -> None:
    """Sends claimed messages, then sweeps again without waiting for beat."""
    with Session() as session, open_setup(load_settings(*SERVICE_SETTINGS)) as setup:
        held_back = outbox.deliver_all(session, message_ids, setup=setup, clock=clock.now)
        _sweep(session)
    if held_back:  # by the provider's rate limit: retried sooner than beat's next tick
        sweep.apply_async(countdown=1, expires=60)


@app.task(name="outbox.recover_expired")
def recover_expired() -> None:
    """Records the outcome of claims whose lease expired, as of a dead worker."""
    with Session() as session, open_setup(load_settings(*SERVICE_SETTINGS)) as setup:
        outbox.recover_expired(session, setup=setup, clock=clock.now)


@app.task(name="delivery_reports.process")
def record_delivery_reports() -> None:
    """Processes reports that arrived before the attempt they are about was recorded."""
    with Session() as session:
        for delivery_report_id in delivery_reports.waiting(session, now=clock.now()):
            delivery_reports.process(session, delivery_report_id, now=clock.now())
            session.commit()


@app.task(name="calls.open_due")
def open_calls() -> None:
    """Opens calls for visits that need one."""
    with Session() as session:
        calls.open_due(session, now=clock.now())
        session.commit()


@app.task(name="visits.record_missed")
def record_missed() -> None:
    """Records the missed reason of visits whose window closed without answers."""
    with Session() as session:
        unanswered.record_missed(session, now=clock.now())
        session.commit()


@app.task(name="visits.plan_idle")
def plan_idle() -> None:
    """Plans the follow-up visits of courses whose infusions stopped without a recorded end."""
    with Session() as session:
        idle_courses.plan_idle(session, now=clock.now())
        session.commit()


@app.task(name="aggregates.refresh")
def refresh_aggregates() -> None:
    """Updates the cohort figures that changed since the last refresh."""
    with Session() as session:
        aggregates.refresh(session, now=clock.now())
        session.commit()


@app.task(name="aggregates.rebuild")
def rebuild_aggregates() -> None:
    """Computes all cohort figures again."""
    with Session() as session:
        aggregates.rebuild(session, now=clock.now())
        session.commit()


@app.task(name="scores.resume")
def resume_rescoring() -> None:
    """Starts requested re-scorings and continues those whose worker stopped."""
    with Session() as session:
        left = jobs.claim_abandoned(session, now=clock.now())
        session.commit()
    for job_id in left:
        rescore.delay(job_id)


@app.task(name="scores.rescore", expires=jobs.LEASE.total_seconds())  # `resume` has queued it again by then
def rescore(job_id: int) -> None:
    """Re-scores a few portions and queues itself again. Does nothing while another process holds the job's lease."""
    with Session() as session:
        for _ in range(PORTIONS_PER_TASK):
            job = jobs.step(session, job_id, actor=Actor(ActorKind.SERVICE, "scores.rescore"), now=clock.now())
            session.commit()
            if job is None or job.finished_at is not None:
                return
    rescore.delay(job_id)


@app.task(name="heartbeat.beat")
def beat() -> None:
    """Records that beat queued this task and a worker ran it."""
    with Session() as session:
        heartbeats.beat(session, "beat", "worker", now=clock.now())
        session.commit()


def _sweep(session: OrmSession) -> None:
    """Claims due messages in batches and queues each batch.

    The table is the truth: if the queue loses a batch, its messages are claimed again when their lease expires.
    """
    settings = load_settings()
    now = clock.now()
    lease = timedelta(seconds=settings.lease_seconds)
    batches = outbox.claim_batches(session, now=now, lease=lease, per_second=per_second(settings))
    heartbeats.beat(session, "sweep", now=now)
    session.commit()  # before queueing: a worker must find the claims
    for batch in batches:
        deliver.delay(batch)
