"""After a transfer each course is counted in figures and files at the clinic where it was begun."""

import csv
import io
from datetime import date, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.subject import Subject
from pro_tracker.services.calling import unanswered
from pro_tracker.services.enrolment import transfers
from pro_tracker.services.enrolment.transfers import TransferFacts
from pro_tracker.services.results import aggregates, exports
from pro_tracker.services.results.exports import Extent, Kind
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_course
from tests.support.history_builder import answer_visit, treated, visit_of
from tests.support.staff_browser import add_account, add_site, sign_in

Counts = dict[tuple[str, str], tuple[int, int]]


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A patient with an answered baseline at North, who was transferred and has an answered one at South."""
    add_site(session, "south")
    found = treated(session, date(2026, 2, 25), clock.now)
    answer_visit(session, visit_of(session, found, "baseline"), clock.now - timedelta(days=6), {})
    clock.advance(days=200)
    facts = TransferFacts("south", clock.now.date(), "moved")
    transfers.transfer(session, COORDINATOR, found, facts, now=clock.now)
    add_course(session, found, clock.now, clock.now.date() + timedelta(days=3))
    answer_visit(session, visit_of(session, found, "baseline"), clock.now, {})
    clock.advance(days=20)
    unanswered.record_missed(session, now=clock.now)
    session.commit()
    return found


def exported(now: datetime, *, kind: Kind = "wide", site_ids: frozenset[int] | None = None) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, kind, out, Extent(now, site_ids))
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


def counts(session: Session) -> Counts:
    """Returns (site, event) -> expected and answered visits of one scale."""
    rows = select(Aggregate).where(Aggregate.instrument_code == "pain-intensity-nrs")
    found = session.scalars(rows, execution_options={"populate_existing": True})
    return {(row.site_code, row.event_code): (row.n_expected, row.n_answered) for row in found}


@pytest.mark.parametrize("kind", ["wide", "long"])
def test_the_rows_of_each_course_name_its_own_site_and_the_same_study_code(
    subject: Subject, clock: Clock, kind: Kind
) -> None:
    rows = exported(clock.now, kind=kind)
    assert {(row["SITEID"], row["COURSE"]) for row in rows} == {("north", "1"), ("south", "2")}
    assert {row["USUBJID"] for row in rows} == {subject.study_code}


def test_a_file_of_one_site_holds_the_courses_of_that_site_only(
    session: Session, subject: Subject, clock: Clock
) -> None:
    for site, course in (("north", "1"), ("south", "2")):
        rows = exported(clock.now, site_ids=frozenset([add_site(session, site).id]))
        assert {(row["SITEID"], row["COURSE"]) for row in rows} == {(site, course)}


@pytest.mark.parametrize(("site", "course"), [("north", "1"), ("south", "2")])
def test_researchers_download_the_courses_of_their_own_sites(
    client: FlaskClient, session: Session, subject: Subject, site: str, course: str
) -> None:
    sign_in(client, add_account(session, "researcher", site))
    with client.get("/results/wide.csv") as download:
        rows = list(csv.DictReader(io.StringIO(download.get_data(as_text=True), newline="")))
    assert {(row["SITEID"], row["COURSE"]) for row in rows} == {(site, course)}


def test_figures_count_each_course_at_its_site_and_a_refresh_gives_what_a_rebuild_gives(
    session: Session, clock: Clock
) -> None:
    add_site(session, "south")
    found = treated(session, date(2026, 2, 25), clock.now)
    answer_visit(session, visit_of(session, found, "baseline"), clock.now - timedelta(days=6), {})
    aggregates.rebuild(session, now=clock.now)
    clock.advance(hours=1)
    facts = TransferFacts("south", clock.now.date(), "moved")
    transfers.transfer(session, COORDINATOR, found, facts, now=clock.now)
    answer_visit(session, visit_of(session, found, "last-infusion"), clock.now, {})

    aggregates.refresh(session, now=clock.now)
    refreshed = counts(session)
    aggregates.rebuild(session, now=clock.now)

    assert refreshed == counts(session)
    assert refreshed["north", "last-infusion"] == (1, 1)
    assert {site for site, _event in refreshed} == {"north", "*"}


def test_all_sites_together_count_both_courses(session: Session, subject: Subject, clock: Clock) -> None:
    aggregates.rebuild(session, now=clock.now)
    found = counts(session)
    assert found["north", "baseline"] == (1, 1)
    assert found["south", "baseline"] == (1, 1)
    assert found["*", "baseline"] == (2, 2)
