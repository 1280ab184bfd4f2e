"""Accounts are closed and changed, by page and command, from their next request on; one administrator always stays."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli.accounts import account as account_command
from pro_tracker.domain.account_codes import Role
from pro_tracker.models.account import Account
from pro_tracker.models.audit import AuditEvent
from pro_tracker.services import audit
from tests.conftest import Clock
from tests.support.course_builder import add_subject
from tests.support.staff_browser import add_account, add_site, sign_in, submit

NewClient = Callable[[], FlaskClient]
ONLY = "This is the only administrator."


def actions(session: Session) -> list[tuple[str, str]]:
    """Returns the action and detail of every change of an account."""
    rows = session.execute(select(AuditEvent.action, AuditEvent.detail).order_by(AuditEvent.id))
    return [(row.action, row.detail) for row in rows if "sign-in" not in row.action and "account." in row.action]


def test_a_closed_account_is_signed_out_at_its_next_request_and_cannot_sign_in(
    client: FlaskClient, another_client: NewClient, session: Session
) -> None:
    administrator, ada = add_account(session, "administrator"), add_account(session, "coordinator")
    sign_in(client, administrator)
    hers = another_client()
    sign_in(hers, ada)
    assert hers.get("/worklist").status_code == 200
    page = f"/accounts/{ada.id}"
    answer = submit(client, f"{page}/close", {}, page=page, follow_redirects=True)
    assert "The account coordinator@clinic.example is closed." in answer.text
    assert hers.get("/worklist").location == "/sign-in?next=/worklist"
    assert "is not right" in sign_in(hers, ada).text
    answer = submit(client, f"{page}/reopen", {}, page=page, follow_redirects=True)
    assert "is open again" in answer.text
    assert hers.get("/worklist").status_code == 302
    assert sign_in(hers, ada).status_code == 302
    detail = f'{{"account":{ada.id}}}'
    assert actions(session) == [("account.close", detail), ("account.reopen", detail)]
    assert audit.first_invalid_event(session) is None


def test_another_role_and_other_sites_count_from_the_next_request_on(
    client: FlaskClient, another_client: NewClient, session: Session, clock: Clock
) -> None:
    administrator, ada = add_account(session, "administrator"), add_account(session, "coordinator")
    add_site(session, "south")
    here = add_subject(session, clock.now)
    there = add_subject(session, clock.now, site_code="south")
    sign_in(client, administrator)
    hers = another_client()
    sign_in(hers, ada)
    assert (hers.get(f"/subjects/{here.id}").status_code, hers.get("/subjects/new").status_code) == (200, 200)
    page = f"/accounts/{ada.id}"
    assert 'value="coordinator" checked' in client.get(page).text
    assert submit(client, page, {"role": "clinician", "site_codes": ["south"]}).status_code == 303
    assert hers.get(f"/subjects/{here.id}").status_code == 404
    assert hers.get(f"/subjects/{there.id}").status_code == 200
    assert hers.get("/subjects/new").status_code == 403
    assert actions(session) == [("account.change", f'{{"account":{ada.id},"role":"clinician","sites":["south"]}}')]


def test_a_role_that_sees_patients_needs_a_clinic(client: FlaskClient, session: Session) -> None:
    ada = add_account(session, "coordinator")
    sign_in(client, add_account(session, "administrator"))
    answer = submit(client, f"/accounts/{ada.id}", {"role": "clinician"})
    assert (answer.status_code, "Choose at least one site" in answer.text) == (422, True)
    answer = submit(client, f"/accounts/{ada.id}", {"role": "surgeon", "site_codes": ["north"]})
    assert (answer.status_code, "Choose the role." in answer.text) == (422, True)
    assert client.get("/accounts/999").status_code == 404
    assert actions(session) == []


def test_the_only_administrator_is_neither_closed_nor_given_another_role(client: FlaskClient, session: Session) -> None:
    administrator = add_account(session, "administrator")
    closed = add_account(session, "administrator", email="former@clinic.example")
    closed.active = False
    sign_in(client, administrator)
    page = f"/accounts/{administrator.id}"
    for answer in (
        submit(client, page, {"role": "coordinator", "site_codes": ["north"]}),
        submit(client, f"{page}/close", {}, page=page),
    ):
        assert (answer.status_code, ONLY in answer.text) == (422, True)
    session.refresh(administrator)
    assert (administrator.role, administrator.active) == (Role.ADMINISTRATOR, True)
    assert submit(client, page, {"role": "administrator", "site_codes": ["north"]}).status_code == 303
    submit(client, f"/accounts/{closed.id}/reopen", {}, page=page)
    submit(client, f"{page}/close", {}, page=page)
    assert client.get("/accounts").location == "/sign-in?next=/accounts"


@pytest.fixture
def run(settings: Settings, database: str) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(account_command, list(arguments))


@pytest.mark.dialects("sqlite")
def test_the_command_changes_closes_and_opens_an_account(run: Callable[..., Result], session: Session) -> None:
    add_account(session, "coordinator")
    add_account(session, "administrator")
    add_site(session, "south")
    session.commit()
    email = "coordinator@clinic.example"
    assert run("change", email, "--role", "clinician").output == f"{email} is clinician at north now.\n"
    assert run("change", email, "--site", "south").output == f"{email} is clinician at south now.\n"
    assert run("close", email).output == f"{email} is closed.\n"
    session.expire_all()
    account = session.scalars(select(Account).filter_by(email=email)).one()
    assert (account.role, account.active, [site.code for site in account.sites]) == (Role.CLINICIAN, False, ["south"])
    session.commit()
    assert run("reopen", email).output == f"{email} is open again.\n"
    refused = run("close", "administrator@clinic.example")
    assert (refused.exit_code, ONLY in str(refused.exception or refused.output)) == (1, True)
