"""Re-scoring jobs: add to every response in effect the scores of its instrument's newest scoring version.

A job is processed in portions and the caller commits each one, so that another process can resume an interrupted job.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pro_tracker.models.rescoring import Rescoring
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.rescoring import portions, scoring_targets
from pro_tracker.services.rescoring.report import RescoringReport
from pro_tracker.services.rescoring.scoring_targets import Targets
from pro_tracker.services.results import aggregates

PORTION = 10_000  # responses: about one second of work and 30 MB of memory
LEASE = timedelta(minutes=5)  # longer than any portion takes

OnProgress = Callable[[int, int], object]  # (done, total)


def begin(
    session: Session, instrument_code: str | None, *, actor: Actor, now: datetime, queue: bool = False
) -> Rescoring:
    """The unfinished job for this instrument (None: for all), or a new one.

    With `queue` the job is free for a worker at once; without it, the caller holds its lease.
    Raises UnknownInstrument.
    """
    targets = scoring_targets.targets(instrument_code)
    job = _unfinished(session, instrument_code)
    if job is not None:
        return job
    report, n_responses = _pending(session, targets)
    job = Rescoring(
        instrument_code=instrument_code,
        through_id=_newest_response_id(session),
        last_id=0,
        n_done=0,
        n_responses=n_responses,
        report=report.as_json(),
        requested_at=now,
        lease_until=now if queue else now + LEASE,
    )
    session.add(job)
    session.flush()
    detail = {"rescoring": job.id, "instrument": instrument_code, "responses": n_responses}
    audit.record(session, actor, "rescoring.start", now=now, detail=detail)
    return job


def _unfinished(session: Session, instrument_code: str | None) -> Rescoring | None:
    same = Rescoring.instrument_code.is_not_distinct_from(instrument_code)
    unfinished = select(Rescoring).where(same, Rescoring.finished_at.is_(None))
    oldest_first = unfinished.order_by(Rescoring.id)
    return session.scalar(oldest_first.limit(1))


def step(session: Session, job_id: int, *, actor: Actor, now: datetime, size: int = PORTION) -> Rescoring | None:
    """Re-scores the next portion and returns the job; None while another process works on a portion of it.

    The last step, which finds nothing left, recomputes the cohort figures and finishes the job.
    """
    row = select(Rescoring).where(Rescoring.id == job_id).with_for_update(skip_locked=True)
    job = session.scalar(row, execution_options={"populate_existing": True})
    if job is None or job.finished_at is not None:
        return job
    targets = scoring_targets.targets(job.instrument_code)
    page = portions.next_portion(session, targets, job.last_id, job.through_id, size)
    report = RescoringReport.from_json(job.report)
    if page.n_responses == 0:
        _finish(session, job, report, actor=actor, now=now)
        return job
    added = portions.rescore(session, targets, page, now=now, write=True)
    report.add(added)
    job.last_id = page.last
    job.n_done += page.n_responses
    job.lease_until = now + LEASE
    job.report = report.as_json()
    return job


def claim_abandoned(session: Session, *, now: datetime) -> list[int]:
    """Claims the unfinished jobs with an expired lease, returns their ids; the caller commits before queueing them."""
    is_unfinished = Rescoring.finished_at.is_(None)
    has_expired = Rescoring.lease_until <= now
    claim = update(Rescoring).where(is_unfinished, has_expired).values(lease_until=now + LEASE)
    claimed_ids = session.scalars(claim.returning(Rescoring.id))
    return list(claimed_ids)


def preview(
    session: Session, instrument_code: str | None, *, now: datetime, on_progress: OnProgress
) -> RescoringReport:
    """The report that a re-scoring would give, computed the same way without storing anything.

    Raises UnknownInstrument.
    """
    targets = scoring_targets.targets(instrument_code)
    through = _newest_response_id(session)
    report, total = _pending(session, targets)
    done = 0
    page = portions.next_portion(session, targets, 0, through, PORTION)
    while page.n_responses:
        to_add = portions.rescore(session, targets, page, now=now, write=False)
        report.add(to_add)
        done += page.n_responses
        on_progress(done, total)
        page = portions.next_portion(session, targets, page.last, through, PORTION)
    return report


def newest(session: Session) -> Rescoring | None:
    """The job that was requested last."""
    newest_first = select(Rescoring).order_by(Rescoring.id.desc())
    return session.scalar(newest_first.limit(1))


def _finish(session: Session, job: Rescoring, report: RescoringReport, *, actor: Actor, now: datetime) -> None:
    job.finished_at = now
    if report.n_scores:
        aggregates.rebuild(session, now=now)
    detail = {"rescoring": job.id, "responses": job.n_done, "scores": report.n_scores}
    audit.record(session, actor, "rescoring.finish", now=now, detail=detail)


def _newest_response_id(session: Session) -> int:
    newest_id = select(func.max(QuestionnaireResponse.id))
    return session.scalar(newest_id) or 0


def _pending(session: Session, targets: Targets) -> tuple[RescoringReport, int]:
    """A report that lists the responses which the newest version cannot score, and the number of all responses."""
    report = RescoringReport()
    total = 0
    versions = (QuestionnaireResponse.instrument_code, QuestionnaireResponse.instrument_version)
    in_effect = select(*versions, func.count()).where(*portions.in_effect(targets))
    by_version = in_effect.group_by(*versions)
    for code, version, n_responses in session.execute(by_version):
        total += n_responses
        reason = scoring_targets.skip_reason(targets, code, version)
        if reason is not None:
            report.skip((code, version, reason), n_responses)
    return report, total
