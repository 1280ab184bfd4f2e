"""Re-scoring: adds, to every standing response, the scores that its instrument's newest scoring version gives.

A job is walked through in portions; the caller commits each one. Whoever stops in between, another goes on from there.
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

PORTION = 10_000  # responses: a second of work, and some 30 MB
LEASE = timedelta(minutes=5)  # longer than any portion takes

OnProgress = Callable[[int, int], object]  # (done, total)


def begin(
    session: Session, instrument_code: str | None, *, actor: Actor, now: datetime, queue: bool = False
) -> Rescoring:
    """The unfinished job for this instrument (None: for all), or a new one; with `queue` a worker may take it at once.

    Raises UnknownInstrument.
    """
    targets = scoring_targets.targets(instrument_code)
    same = Rescoring.instrument_code.is_not_distinct_from(instrument_code)
    unfinished = select(Rescoring).where(same, Rescoring.finished_at.is_(None)).order_by(Rescoring.id).limit(1)
    job = session.scalar(unfinished)
    if job is None:
        report, n_responses = _to_do(session, targets)
        job = Rescoring(
            instrument_code=instrument_code, through_id=_newest(session), last_id=0, n_done=0, requested_at=now
        )
        job.n_responses, job.report, job.lease_until = n_responses, report.as_json(), now if queue else now + LEASE
        session.add(job)
        session.flush()
        detail = {"rescoring": job.id, "instrument": instrument_code, "responses": n_responses}
        audit.record(session, actor, "rescoring.start", now=now, detail=detail)
    return job


def step(session: Session, job_id: int, *, actor: Actor, now: datetime, size: int = PORTION) -> Rescoring | None:
    """Re-score the next portion and return the job; None while another process has a portion of it in hand.

    The last step, which finds nothing left, works out the cohort's figures anew and finishes the job.
    """
    row = select(Rescoring).where(Rescoring.id == job_id).with_for_update(skip_locked=True)
    job = session.scalar(row, execution_options={"populate_existing": True})
    if job is None or job.finished_at is not None:
        return job
    targets = scoring_targets.targets(job.instrument_code)
    page = portions.window(session, targets, job.last_id, job.through_id, size)
    report = RescoringReport.of(job.report)
    if page.n_responses:
        report.add(portions.rescore(session, targets, page, now=now, write=True))
        job.last_id, job.n_done, job.lease_until = page.last, job.n_done + page.n_responses, now + LEASE
        job.report = report.as_json()
    else:
        _finish(session, job, report, actor=actor, now=now)
    return job


def claim_left(session: Session, *, now: datetime) -> list[int]:
    """Claim the unfinished jobs that nobody is at, and return their ids; the caller commits before queueing them."""
    left = update(Rescoring).where(Rescoring.finished_at.is_(None), Rescoring.lease_until <= now)
    return list(session.scalars(left.values(lease_until=now + LEASE).returning(Rescoring.id)))


def preview(
    session: Session, instrument_code: str | None, *, now: datetime, on_progress: OnProgress
) -> RescoringReport:
    """What a re-scoring would change, worked out the same way, nothing stored. Raises UnknownInstrument."""
    targets, through = scoring_targets.targets(instrument_code), _newest(session)
    report, total = _to_do(session, targets)
    after = done = 0
    while (page := portions.window(session, targets, after, through, PORTION)).n_responses:
        report.add(portions.rescore(session, targets, page, now=now, write=False))
        after, done = page.last, done + page.n_responses
        on_progress(done, total)
    return report


def newest(session: Session) -> Rescoring | None:
    """The job that was asked for last."""
    return session.scalar(select(Rescoring).order_by(Rescoring.id.desc()).limit(1))


def _finish(session: Session, job: Rescoring, report: RescoringReport, *, actor: Actor, now: datetime) -> None:
    job.finished_at = now
    if report.n_scores:
        aggregates.rebuild(session, now=now)
    detail = {"rescoring": job.id, "responses": job.n_done, "scores": report.n_scores}
    audit.record(session, actor, "rescoring.finish", now=now, detail=detail)


def _newest(session: Session) -> int:
    return session.scalar(select(func.max(QuestionnaireResponse.id))) or 0


def _to_do(session: Session, targets: Targets) -> tuple[RescoringReport, int]:
    """How many responses there are to look at, and a report of those that the newest version cannot score."""
    report, total = RescoringReport(), 0
    asked = (QuestionnaireResponse.instrument_code, QuestionnaireResponse.instrument_version)
    rows = select(*asked, func.count()).where(*portions.standing(targets)).group_by(*asked)
    for code, version, n_responses in session.execute(rows):
        total += n_responses
        reason = scoring_targets.why_not(targets, code, version)
        if reason is not None:
            report.skip((code, version, reason), n_responses)
    return report, total
