"""Several studies in one installation: the protocol of a subject is chosen, never guessed (case 14)."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli import group
from pro_tracker.domain.errors import InvalidDataFile, InvalidInput
from pro_tracker.domain.roster_file import COLUMNS
from pro_tracker.models.course import Course
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import sites
from pro_tracker.services.clinic.sites import SiteFacts
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.protocols import protocol_choice
from tests.conftest import Clock
from tests.enrolment.test_roster_import import NO_INFUSION, ROW, write
from tests.enrolment.test_staff_enrolment import enrol
from tests.support.course_builder import COORDINATOR, add_subject, record_infusions
from tests.support.patient_browser import FACTS
from tests.support.second_study import CHANGES, FIRST, shipped, write_protocol
from tests.support.staff_browser import add_account, add_site, save, sign_in

pytestmark = pytest.mark.dialects("sqlite")
FILE = Path("sites.yaml")


@pytest.fixture
def coordinator(client: FlaskClient, session: Session, clock: Clock) -> FlaskClient:
    sign_in(client, add_account(session, "coordinator"))
    return client


def give_default(session: Session, code: str, site: str = "north") -> None:
    add_site(session, site).protocol_code = code
    session.commit()


def protocols_in_use(session: Session) -> list[str]:
    return list(session.scalars(select(Course.protocol_code).order_by(Course.id)))


def checked(page: str) -> list[str]:
    """The protocols that are preselected on the page."""
    return re.findall(r'name="protocol" type="radio" value="([^"]+)" checked', page)


def test_with_one_protocol_there_is_no_choice(coordinator: FlaskClient, session: Session) -> None:
    assert 'name="protocol"' not in coordinator.get("/subjects/new").text
    assert enrol(coordinator).status_code == 303
    assert protocols_in_use(session) == [FIRST]


def test_a_new_protocol_file_changes_no_enrollment(
    session: Session, clock: Clock, second_study: str, coordinator: FlaskClient
) -> None:
    give_default(session, FIRST)
    assert checked(coordinator.get("/subjects/new").text) == [FIRST]
    subject = add_subject(session, clock.now)
    assert protocols_in_use(session) == [FIRST]
    assert "study KET5D" in coordinator.get(f"/subjects/{subject.id}").text


def test_without_a_default_nothing_is_preselected_and_staff_choose(
    coordinator: FlaskClient, session: Session, second_study: str
) -> None:
    assert checked(coordinator.get("/subjects/new").text) == []
    refused = enrol(coordinator)
    assert refused.status_code == 422
    assert "Choose the study." in refused.text
    assert session.scalars(select(Subject)).all() == []
    chosen = enrol(coordinator, protocol=second_study, planned_infusions="")
    assert chosen.status_code == 303
    course = session.scalars(select(Course)).one()
    assert (course.protocol_code, course.planned_infusions) == (second_study, 3)
    page = coordinator.get(chosen.location).text
    assert "study OTHER, protocol version 1" in page
    assert "OTHER" in coordinator.get("/worklist").text


def test_two_sites_with_different_defaults_leave_the_choice_open(
    client: FlaskClient, session: Session, clock: Clock, second_study: str
) -> None:
    give_default(session, FIRST)
    give_default(session, second_study, "south")
    sign_in(client, add_account(session, "coordinator", "north", "south"))
    assert checked(client.get("/subjects/new").text) == []


def test_a_service_without_a_choice_gets_an_error_that_names_the_protocols(
    session: Session, clock: Clock, second_study: str
) -> None:
    add_site(session)
    with pytest.raises(InvalidInput, match=r"Several studies enroll patients: choose one\. The protocols are another"):
        enrolment.enrol(session, COORDINATOR, FACTS, now=clock.now)


# --- the next course -------------------------------------------------------------------------------------------------


def test_a_next_course_follows_the_protocol_of_the_last_one(
    coordinator: FlaskClient, session: Session, clock: Clock, second_study: str
) -> None:
    give_default(session, FIRST)
    subject = add_subject(session, clock.now, protocol=second_study)
    course = session.scalars(select(Course)).one()
    record_infusions(session, course, clock.now, clock.now.date())
    page = coordinator.get(f"/subjects/{subject.id}/course").text
    assert "It follows OTHER: Another study, protocol version 1." in page
    entry = {"new-planned_infusions": "2", "new-planned_start_on-day": "1"}
    entry |= {"new-planned_start_on-month": "9", "new-planned_start_on-year": "2026"}
    save(coordinator, f"/subjects/{subject.id}/course/new", entry, page=f"/subjects/{subject.id}/course")
    assert protocols_in_use(session) == [second_study, second_study]


# --- the roster ------------------------------------------------------------------------------------------------------


def imported(tmp_path: Path, *rows: dict[str, Any]) -> Result:
    path = write(tmp_path / "roster.csv", *rows, columns=(*COLUMNS, "protocol"))
    return CliRunner().invoke(group, ["import", str(path)])


@pytest.fixture
def installation(session: Session, settings: Settings, clock: Clock, second_study: str) -> None:
    add_site(session, "north")
    session.commit()


@pytest.mark.usefixtures("installation")
def test_a_roster_names_the_protocol_of_each_person(session: Session, tmp_path: Path, second_study: str) -> None:
    give_default(session, FIRST)
    person = {"record_number": "MRN-2", "birth_date": "1971-02-03", "protocol": second_study}
    other = {**ROW, **NO_INFUSION, **person}
    result = imported(tmp_path, {**ROW, **NO_INFUSION, "protocol": ""}, other)
    assert result.exit_code == 0, result.output
    session.commit()
    assert protocols_in_use(session) == [FIRST, second_study]
    session.commit()
    again = imported(tmp_path, {**other, "protocol": FIRST})
    assert "column protocol: (warning) The subject follows another protocol" in again.output


@pytest.mark.usefixtures("installation")
def test_a_roster_without_a_clear_protocol_is_refused_in_plain_words(session: Session, tmp_path: Path) -> None:
    result = imported(tmp_path, {**ROW, "protocol": ""})
    assert result.exit_code == 1
    assert "line 2, column protocol: Several studies enroll patients: choose one." in result.output
    assert "Name it in the column protocol, or give the site a default in the sites file." in result.output
    unknown = imported(tmp_path, {**ROW, "protocol": "ketamin"})
    assert "line 2, column protocol: There is no protocol 'ketamin'. The protocols are another-study" in unknown.output
    assert session.scalars(select(Subject)).all() == []


@pytest.mark.usefixtures("installation")
def test_a_roster_file_without_the_column_uses_the_default_of_the_site(session: Session, tmp_path: Path) -> None:
    give_default(session, FIRST)
    path = write(tmp_path / "roster.csv", {**ROW, **NO_INFUSION})
    with path.open(encoding="utf-8-sig") as file:
        assert "protocol" not in next(csv.reader(file))
    assert CliRunner().invoke(group, ["import", str(path)]).exit_code == 0
    session.commit()
    assert protocols_in_use(session) == [FIRST]


# --- the default of a site -------------------------------------------------------------------------------------------


def facts(**values: Any) -> SiteFacts:
    return SiteFacts(code="north", name="North Clinic", time_zone="America/New_York", phone="+1 216 555 0100", **values)


def default_of_north(session: Session) -> str | None:
    return session.scalar(select(Site.protocol_code).where(Site.code == "north"))


def test_the_sites_file_sets_changes_and_removes_a_default(session: Session, clock: Clock, second_study: str) -> None:
    for listed, expected in (
        (facts(protocol=second_study), second_study),
        (facts(), second_study),
        (facts(protocol=FIRST), FIRST),
        (facts(protocol=""), ""),
    ):
        sites.sync(session, [listed], now=clock.now)
        assert default_of_north(session) == expected


def test_the_only_protocol_becomes_the_default_so_that_a_later_one_changes_nothing(
    session: Session, clock: Clock
) -> None:
    listed = [facts()]
    sites.sync(session, listed, now=clock.now)
    protocol_choice.keep_only_protocol(session, listed, now=clock.now)
    assert default_of_north(session) == FIRST
    asks = [facts(protocol="")]
    sites.sync(session, asks, now=clock.now)
    protocol_choice.keep_only_protocol(session, asks, now=clock.now)
    assert default_of_north(session) == ""


def test_a_file_that_is_added_to_a_running_installation_changes_no_enrollment(
    session: Session, settings: Settings, data_folder: Path, tmp_path: Path, coordinator: FlaskClient
) -> None:
    listed = tmp_path / "sites.yaml"
    north = 'code: north, name: North, time_zone: America/New_York, phone: "+1 216 555 0100"'
    listed.write_text("sites: [{" + north + "}]")
    runner = CliRunner(env={"PRO_TRACKER_SITES_FILE": str(listed)})
    session.commit()
    for content in (None, shipped() | CHANGES):
        if content is not None:
            write_protocol(data_folder, content)
        migrated = runner.invoke(group, ["migrate"])
        assert migrated.exit_code == 0, migrated.output
    session.expire_all()
    assert checked(coordinator.get("/subjects/new").text) == [FIRST]
    assert enrol(coordinator, protocol=FIRST).status_code == 303
    assert protocols_in_use(session) == [FIRST]


def test_an_unknown_default_is_named_with_its_place() -> None:
    with pytest.raises(InvalidDataFile, match=r"sites.yaml: sites.0.protocol: There is no protocol 'ketamin'"):
        protocol_choice.reject_unknown([facts(protocol="ketamin")], FILE)


# --- figures and files -----------------------------------------------------------------------------------------------


@pytest.fixture
def both_studies(session: Session, clock: Clock, second_study: str) -> None:
    """One subject in each study."""
    for code in (FIRST, second_study):
        add_subject(session, clock.now, protocol=code)
    session.commit()


@pytest.mark.usefixtures("both_studies")
def test_files_hold_one_study_unless_all_are_asked_for(
    session: Session, settings: Settings, tmp_path: Path, second_study: str
) -> None:
    def export(*options: str) -> Result:
        return CliRunner().invoke(group, ["export", "codebook", "--out", str(tmp_path / "out.csv"), *options])

    refused = export()
    assert isinstance(refused.exception, InvalidInput)
    assert "Subjects follow several protocols (another-study, ketamine-5day)." in str(refused.exception)
    assert isinstance(export("--protocol", "nothing").exception, InvalidInput)
    assert export("--protocol", second_study).exit_code == 0
    assert export("--all-studies").exit_code == 0


@pytest.mark.usefixtures("both_studies")
def test_the_results_page_shows_one_study_at_a_time(client: FlaskClient, session: Session, second_study: str) -> None:
    sign_in(client, add_account(session, "researcher"))
    page = client.get("/results").text
    assert "Figures and files of the study OTHER: Another study. Studies are never counted together." in page
    chosen = client.get(f"/results?study={FIRST}").text
    assert "Figures and files of the study KET5D" in chosen
    assert f"/results/long.csv?study={FIRST}" in chosen
    with client.get(f"/results/codebook.csv?study={FIRST}") as download:
        assert download.headers["Content-Disposition"] == f"attachment; filename=cohort-{FIRST}-codebook.csv"
    assert client.get("/results/codebook.csv").status_code == 404
