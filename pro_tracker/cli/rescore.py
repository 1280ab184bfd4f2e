"""`pro-tracker rescore`: scores stored answers under a new scoring version and keeps the earlier scores."""

import time

import click
from sqlalchemy.orm import Session

from pro_tracker import clock
from pro_tracker.cli.connection import open_session
from pro_tracker.cli.progress import progress
from pro_tracker.db import read_only
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.rescoring import Rescoring
from pro_tracker.services.audit import Actor
from pro_tracker.services.rescoring import jobs
from pro_tracker.services.rescoring.report import RescoringReport, ScaleChanges

COMMAND = Actor(ActorKind.COMMAND, "rescore")
EPILOG = """\b
Examples:
  pro-tracker rescore --dry-run
  pro-tracker rescore
  pro-tracker rescore --instrument pcs --queue
  pro-tracker rescore --status
"""
COLUMNS = ("scale", "scoring", "responses", "unchanged", "changed", "mean", "largest", "new", "lost")


@click.command(epilog=EPILOG)
@click.option("--instrument", metavar="CODE", help="Only the answers to this instrument.")
@click.option("--dry-run", "mode", flag_value="preview", help="Say what would change and store nothing.")
@click.option("--queue", "mode", flag_value="queue", help="Let a worker do it; it begins within a minute.")
@click.option(
    "--status", "mode", flag_value="status", help="Say how far the newest re-scoring is, and what it changed."
)
def rescore(instrument: str | None, mode: str | None) -> None:
    """Score all stored answers that have no score under their instrument's newest scoring version.

    New scores are added to the earlier ones, and charts, exports and cohort figures take the newest. Nothing is
    overwritten, so it is safe to run twice; after an interruption it continues where it stopped. Start the new version
    of web and worker first. The table compares each new score with the one before it: T-scores, or raw scores of a
    scale without T-scores.
    """
    with open_session() as session:
        if mode == "preview":
            _preview(session, instrument)
        elif mode == "status":
            _show_job(jobs.newest(session))
        else:
            _run(session, instrument, queue=mode == "queue")


def _preview(session: Session, instrument: str | None) -> None:
    with progress("Comparing") as show:
        report = jobs.preview(read_only(session), instrument, now=clock.now(), on_progress=show)
    _show(report, complete=True)
    click.echo("Nothing was stored.")


def _run(session: Session, instrument: str | None, *, queue: bool) -> None:
    job = jobs.begin(session, instrument, actor=COMMAND, now=clock.now(), queue=queue)
    session.commit()
    if queue:
        click.echo(f"Re-scoring {job.id} is queued: a worker begins within a minute. See: pro-tracker rescore --status")
        return
    with progress("Re-scoring") as show:
        while job.finished_at is None:
            mine = jobs.step(session, job.id, actor=COMMAND, now=clock.now())
            session.commit()
            if mine is None:  # a worker is scoring a portion: both continue, in turns
                time.sleep(0.5)
                session.refresh(job)
            show(job.n_done, job.n_responses)
    _show_job(job)


def _show_job(job: Rescoring | None) -> None:
    if job is None:
        click.echo("Nothing was re-scored yet.")
        return
    state = "is finished" if job.finished_at else "is under way"
    click.echo(f"Re-scoring {job.id} of {job.instrument_code or 'all instruments'} {state}: ", nl=False)
    click.echo(f"{job.n_done} of {job.n_responses} responses looked at.")
    _show(RescoringReport.from_json(job.report), complete=job.finished_at is not None)


def _show(report: RescoringReport, *, complete: bool) -> None:
    """Prints the table of changes, one line for each scale, and the responses that were left out."""
    if report.scales:
        names = [f"{each.instrument_code} {each.scale_code}" for each in report.scales.values()]
        width = max(map(len, names))
        titles = "".join(f"{title:>11}" for title in COLUMNS[1:])
        click.echo(f"{COLUMNS[0]:{width}}{titles}")
        for name, each in zip(names, report.scales.values(), strict=True):
            click.echo(f"{name:{width}}{_cells(each)}")
    elif complete:
        click.echo("Every response has the scores of its instrument's newest scoring version.")
    for (code, version, reason), responses in report.skipped.items():
        click.echo(f"Left out: {responses} of {code} version {version}: {reason}.")


def _cells(each: ScaleChanges) -> str:
    mean = "" if each.mean_difference is None else f"{each.mean_difference:+.2f}"
    largest = f"{each.largest_difference:.2f}" if each.changed else ""
    counts = (each.responses, each.unchanged, each.changed, mean, largest, each.newly_scored, each.no_longer_scored)
    return "".join(f"{cell:>11}" for cell in (each.scoring_version, *counts))
