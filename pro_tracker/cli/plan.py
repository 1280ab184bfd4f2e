"""`pro-tracker plan`: prints one subject's visits and messages, and what another date or zone would change.

Saves nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import clock
from pro_tracker.cli.connection import open_session
from pro_tracker.cli.day import DAY
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.domain.record_codes import PlanChange
from pro_tracker.models.subject import Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts import preferences
from pro_tracker.services.planning import plan_preview
from pro_tracker.services.planning.plan_preview import PlanDifference, PlanLine, PlannedMessage, PlannedVisit
from pro_tracker.services.treatment import course_plans, courses
from pro_tracker.services.treatment.course_plans import CoursePlanFacts

CHANNEL_WIDTH = max(len(channel) for channel in Channel)
COMMAND = Actor(ActorKind.COMMAND, "plan")


@click.command(
    epilog="""\b
Examples:
  pro-tracker plan north-0001
  pro-tracker plan north-0001 --first-infusion 2026-12-01
  pro-tracker plan north-0001 --time-zone America/Denver
"""
)
@click.argument("subject")
@click.option("--first-infusion", type=DAY, metavar="DATE", help="If it were planned for this day.")
@click.option("--time-zone", metavar="ZONE", help="If the subject lived in this IANA time zone.")
def plan(subject: str, first_infusion: date | None, time_zone: str | None) -> None:
    """Print the visits of SUBJECT (a study code) and every message of the next six months, in the subject's own time.

    With an option each line says whether it stays, moves, goes or comes. Nothing is saved, and no name is printed.
    """
    with open_session() as session:
        found, now = _subject(session, subject), clock.now()
        changes = list(_changes(session, found, first_infusion, time_zone, now))

        def apply() -> None:
            for change in changes:
                change()

        difference = plan_preview.preview_change(session, found.id, apply, now=now, keep=lambda _: False)
        for line in _report(found, difference, now, compares=bool(changes)):
            click.echo(line)


def _subject(session: Session, study_code: str) -> Subject:
    found = session.scalar(select(Subject).where(Subject.study_code == study_code))
    if found is None:
        raise NotFound(f"There is no subject {study_code[:60]!r}.")
    return found


def _changes(
    session: Session, subject: Subject, first_on: date | None, zone: str | None, now: datetime
) -> Iterator[Callable[[], object]]:
    """Yields the changes of the options; each is called within the preview's savepoint."""
    if first_on is not None:
        yield lambda: _begin_on(session, subject, first_on, now)
    if zone is not None:
        changed = replace(preferences.for_subject(subject), time_zone=zone)
        yield lambda: preferences.change(session, subject, changed, now=now, actor=COMMAND)


def _begin_on(session: Session, subject: Subject, first_on: date, now: datetime) -> None:
    course = courses.current_course(session, subject)
    if course is None or course.infusions:
        raise InvalidInput("The current course has begun, so its first infusion is not planned any more.")
    plan = CoursePlanFacts(first_on, course.planned_infusions)
    course_plans.change_plan(session, COMMAND, course, plan, now=now)


def _report(subject: Subject, difference: PlanDifference, now: datetime, *, compares: bool) -> Iterator[str]:
    yield f"{subject.study_code}, {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if subject.death_recorded_at is not None:
        yield "Died: nothing is asked."
    if subject.withdrawn_at is not None:
        yield "Withdrawn: nothing is asked."
    yield "\nVisits: questions, opens, due, closes"
    yield from _table(difference.visits, _visit, compares=compares)
    yield "\nMessages of the next six months: local time, channel, questions, template"
    yield from _table(difference.messages, _message, compares=compares)


def _table(lines: Iterable[PlanLine[Any]], describe: Callable[[Any], str], *, compares: bool) -> Iterator[str]:
    """Yields one line for each visit or message. With `compares` it says whether that stays, moves, goes or comes."""
    empty = True
    for line in lines:
        empty = False
        if not compares:
            yield f"  {describe(line.planned)}"
        elif line.kind == PlanChange.MOVES:
            yield f"  moves  {describe(line.before)}"
            yield f"     to  {describe(line.after)}"
        else:
            yield f"  {line.kind}  {describe(line.planned)}"
    if empty:
        yield "  none"


def _visit(visit: PlannedVisit) -> str:
    window = (visit.opens_on, visit.due_on, visit.closes_on)
    days = "  ".join(f"{day:%a %Y-%m-%d}" for day in window)
    return f"course {visit.course}  {visit.event:<15}  {days}"


def _message(message: PlannedMessage) -> str:
    at = f"{'at once':<20}"  # as wide as a date and a time
    if message.at:
        at = f"{message.on:%a %Y-%m-%d} {message.at:%H:%M}"
    return f"{at} {message.zone}  {message.channel:<{CHANNEL_WIDTH}}  {message.event}: {message.template}"
