"""The filled data of the demonstration show, for any number of patients, what each visitor is told to look at."""

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker import clock, db
from pro_tracker.demo import data, examples
from pro_tracker.demo.data import DemoLink
from pro_tracker.demo.installation import CONSENTS, PROTOCOL, PROTOCOLS, SECOND_PROTOCOL, DemoInstallation, NoDataFolder
from pro_tracker.domain.consent import ConsentChoice
from pro_tracker.keyring import KeyRing
from pro_tracker.models.answer_alert import AnswerAlert
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.course import Course
from pro_tracker.models.goal import Goal, GoalRating
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.clinic import sites
from pro_tracker.services.instruments import data_files
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.wording import consent_forms
from pro_tracker.simulation.runner import SimulationSettings, run_simulation
from tests.conftest import FIELD_KEYS
from tests.support import pinned_protocols
from tests.support.patient_browser import give_birth_date, place
from tests.support.staff_browser import add_account, sign_in

SITES = Path(__file__).parents[2] / "config/sites.yaml"
SUBJECTS = 8
SHOWN = [
    "Alert, open",
    "Began, not sent",
    "Alert, closed",
    "Alert, by mistake",
    "Two languages",
    "Amended answer",
    "Kept, never sent",
    "Late answer",
    "Birth date corrected",
    "Transferred",
    "Two records merged",
    "Death recorded",
    "Adverse event, asked",
    "Adverse event, told",
    "Other treatments",
    "Did not come",
    "A helper",
    "Another study",
    "Consent: agreed",
    "Consent: in part",
    "Consent: not asked",
    "Consent: earlier form",
    "Consent: declined",
    "Consent: withdrawn",
]
STAGED, OF_CONSENT = 4, 6  # patients of the first study, and of the second one
FILES = [f"{PROTOCOL}.yaml", f"{PROTOCOL}@1.yaml", f"{SECOND_PROTOCOL}.yaml", f"{SECOND_PROTOCOL}@1.yaml"]

pytestmark = [pytest.mark.slow, pytest.mark.dialects("sqlite")]


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a demonstration."""
    folder = tmp_path_factory.mktemp("demo")
    installation = _installation(folder)
    installation.add_data_files(None)
    data_files.set_data_folder(installation.data_folder)
    yield installation.data_folder
    data_files.set_data_folder(None)


@pytest.fixture(scope="module")
def filled(data_folder: Path, migrated_sqlite: Path) -> Path:
    """A database that was filled as the demonstration fills its own, with a few patients."""
    path = shutil.copyfile(migrated_sqlite, data_folder.parent / "filled.sqlite3")
    engine = db.connect(f"sqlite:///{path}", KeyRing.parse(FIELD_KEYS))
    with db.Session() as session:
        until = clock.now()
        sites.sync(session, sites.read(SITES), now=until)
        session.commit()
        settings = SimulationSettings(PROTOCOL, SUBJECTS, 1, until, second_protocol=SECOND_PROTOCOL)
        run_simulation(session, settings, lambda _share, _now: None)
    engine.dispose()
    return path


@pytest.fixture
def sqlite_database(filled: Path, tmp_path: Path) -> str:
    """The URL of a copy of the filled database."""
    return f"sqlite:///{shutil.copyfile(filled, tmp_path / 'filled.sqlite3')}"


@pytest.fixture
def environment(environment: dict[str, str], data_folder: Path) -> dict[str, str]:
    return {**environment, "PRO_TRACKER_DATA_FOLDER": str(data_folder)}


def sign_in_as_coordinator(client: FlaskClient, session: Session) -> None:
    account = add_account(session, "coordinator", *session.scalars(select(Site.code)))
    session.commit()
    sign_in(client, account)


def test_the_closing_text_has_an_example_of_everything_and_each_page_shows_it(
    client: FlaskClient, session: Session
) -> None:
    sign_in_as_coordinator(client, session)
    found = examples.find(session)
    assert [each.title for each in found] == SHOWN
    for each in found:
        page = client.get(each.path.partition("#")[0])
        assert (each.title, page.status_code) == (each.title, 200)
        assert each.study_code in page.text


def test_the_call_list_has_an_open_alert_and_a_patient_who_began_and_did_not_send(
    client: FlaskClient, session: Session
) -> None:
    sign_in_as_coordinator(client, session)
    on_list = client.get("/calls").text
    opened = [each for each in examples.find(session) if each.title in ("Alert, open", "Began, not sent")]
    assert [each.study_code in on_list for each in opened] == [True, True]


def test_alerts_were_called_about_within_the_hours_of_the_plan_and_closed_with_what_was_done(session: Session) -> None:
    plan = protocol_catalog.protocol(PROTOCOL).response_plans["adverse-effects-week"]
    closed = session.scalars(select(Call).where(Call.reason == "alert", Call.closed_at.is_not(None))).all()
    for call in closed:
        attempts = session.scalars(select(CallAttempt).where(CallAttempt.call_id == call.id)).all()
        assert all(attempt.at <= call.opened_at + timedelta(hours=plan.within_hours) for attempt in attempts)
        assert [bool(attempt.done) for attempt in attempts] == [attempt.outcome == "reached" for attempt in attempts]
    missed = session.scalars(select(CallAttempt).where(CallAttempt.alert_outcome == "not-reached")).all()
    assert len(closed) >= 2
    assert missed  # and called again, since every one of these was closed


def test_the_effect_that_was_tapped_by_mistake_is_shown_with_the_answer_that_stands(
    client: FlaskClient, session: Session
) -> None:
    sign_in_as_coordinator(client, session)
    (path,) = [each.path for each in examples.find(session) if each.title == "Alert, by mistake"]
    assert "The answer that stands now:" in client.get(path.partition("#")[0]).text


def test_the_answer_was_amended_a_day_after_with_a_source_and_a_reason(session: Session) -> None:
    amended = session.scalars(select(QuestionnaireResponse).where(QuestionnaireResponse.status == "amended")).all()
    assert amended
    for response in amended:
        before = session.get_one(QuestionnaireResponse, response.replaces_id)
        completed_at = session.get_one(Visit, response.visit_id).completed_at
        assert completed_at is not None
        assert response.edited_at == completed_at + timedelta(days=1)
        assert (response.edit_source, before.status) == ("patient", "entered-in-error")
        assert response.edit_reason
        assert sum(response.answers[item] != before.answers[item] for item in before.answers) == 1


def test_every_eighth_patient_follows_the_second_study(session: Session) -> None:
    counted = select(Course.protocol_code, func.count(Course.subject_id.distinct())).group_by(Course.protocol_code)
    counted = counted.where(Course.duplicate_by_id.is_(None))
    found = dict(iter(session.execute(counted)))
    assert found == {PROTOCOL: SUBJECTS + STAGED - SUBJECTS // 8, SECOND_PROTOCOL: SUBJECTS // 8 + OF_CONSENT}
    people = select(func.count()).where(Subject.merged_into_id.is_(None))
    assert session.scalar(people) == SUBJECTS + STAGED + OF_CONSENT
    assert len(session.scalars(select(AnswerAlert.subject_id).distinct()).all()) < SUBJECTS + STAGED
    assert audit.first_invalid_event(session) is None


def test_the_protocol_file_has_no_problem_and_advice_in_both_languages(data_folder: Path) -> None:
    names = sorted(path.name for path in PROTOCOLS.glob("*.yaml"))
    assert names == FILES
    for name in names:
        assert protocol_catalog.problems(data_folder / PROTOCOLS.name / name) == []
    plan = protocol_catalog.protocol(PROTOCOL).response_plans["adverse-effects-week"]
    assert set(plan.advice) == {"en", "es"}


def test_a_data_folder_of_the_user_is_copied_and_kept(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "protocols").mkdir(parents=True)
    (own / "protocols/ours.yaml").write_text("code: ours\n")
    installation = _installation(tmp_path / "demo")

    installation.add_data_files(str(own))
    installation.add_data_files(None)  # the next start, without the variable: what is in use stays

    names = sorted(path.name for path in (installation.data_folder / "protocols").iterdir())
    assert names == [*FILES, "ours.yaml"]
    with pytest.raises(NoDataFolder):
        installation.add_data_files(str(tmp_path / "missing"))


def _installation(folder: Path) -> DemoInstallation:
    return DemoInstallation(folder, folder / "broker.sock", 8000, 8025, 1025)


def test_the_first_link_asks_at_once_and_the_second_one_for_consent_first(
    client: FlaskClient, session: Session
) -> None:
    first = data.issue_link(session, now=clock.now())
    second = data.issue_consent_link(session, now=clock.now())
    session.commit()
    assert second is not None
    assert [_page_after_birth_date(client, each) for each in (first, second)] == ["item/1", "consent"]


def _page_after_birth_date(client: FlaskClient, link: DemoLink) -> str:
    page = client.get(f"/v/{link.token}", follow_redirects=True)
    return place(give_birth_date(client, page, date.fromisoformat(link.birth_date)))


def test_the_list_of_patients_can_be_limited_to_each_state_of_consent(client: FlaskClient, session: Session) -> None:
    sign_in_as_coordinator(client, session)
    for each in examples.find(session)[-OF_CONSENT:]:
        assert "<h2>Decisions</h2>" in client.get(each.path).text
    for choice in ConsentChoice:
        page = client.get(f"/subjects?consent={choice}").text
        assert (choice, "No patient has this state" in page) == (choice, False)


def test_the_consent_form_has_two_versions_without_a_problem(data_folder: Path) -> None:
    names = sorted(path.name for path in CONSENTS.glob("*.yaml"))
    assert names == ["demo-study.yaml", "demo-study@1.yaml"]
    for name in names:
        assert consent_forms.problems(data_folder / CONSENTS.name / name) == []
    assert [each.version for each in consent_forms.versions("demo-study")] == ["1", "2"]


def test_patients_have_goals_of_their_own_that_they_rated_at_later_visits(
    client: FlaskClient, session: Session
) -> None:
    rated = session.scalars(select(Goal).join(GoalRating, GoalRating.goal_id == Goal.id)).first()
    assert rated is not None
    assert all(rating.rated_at > rated.set_at for rating in rated.ratings)
    sign_in_as_coordinator(client, session)
    assert rated.text in client.get(f"/subjects/{rated.subject_id}").text


def test_the_demonstration_asks_first_what_the_shipped_protocol_asks_first() -> None:
    shown = protocol_catalog.read_protocol(PROTOCOLS / f"{PROTOCOL}.yaml")
    shipped = protocol_catalog.read_protocol(pinned_protocols.SHIPPED / "ketamine-5day.yaml")
    assert shown.core == shipped.core != ()
    assert [event.battery for event in shown.events] == [event.battery for event in shipped.events]
