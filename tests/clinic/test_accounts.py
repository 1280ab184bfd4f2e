"""Accounts: creation, signing in and out, the end of sessions, and what is audited."""

import json
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import redis
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.app import create_app
from pro_tracker.cli.accounts import account as account_command
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import DuplicateRecord, InvalidInput
from pro_tracker.models.account import Account
from pro_tracker.models.audit import AuditEvent
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import accounts
from pro_tracker.services.clinic.accounts import AccountFacts
from tests.conftest import Clock, new_client
from tests.servers.redis import RedisServer
from tests.support.staff_browser import PASSWORD, add_account, add_site, sign_in, submit

ADMIN = Actor(ActorKind.COMMAND, "test")


def facts(**changes: object) -> AccountFacts:
    given = {
        "email": "Ada@Clinic.example",
        "display_name": "Ada Moss",
        "role": "coordinator",
        "password": PASSWORD,
        "site_codes": ["north"],
    }
    return AccountFacts(**{**given, **changes})  # type: ignore[arg-type]


def events(session: Session) -> list[tuple[str, str, dict[str, object]]]:
    rows = session.scalars(select(AuditEvent).order_by(AuditEvent.id))
    return [(row.action, row.actor_kind, json.loads(row.detail)) for row in rows]


def test_an_account_keeps_only_an_argon2id_hash_and_the_address_in_lower_case(session: Session, clock: Clock) -> None:
    add_site(session)
    created = accounts.create(session, ADMIN, facts(), now=clock.now)
    assert created.email == "ada@clinic.example"
    assert created.password is not None
    assert created.password.startswith("$argon2id$")
    assert ("account.create", "command", {"account": created.id, "role": "coordinator", "sites": ["north"]}) in events(
        session
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "ada at clinic"}, "email"),
        ({"display_name": " "}, "display_name"),
        ({"role": "surgeon"}, "role"),
        ({"password": "short"}, "password"),
        ({"site_codes": ["nowhere"]}, "site_codes"),
        ({"site_codes": []}, "site_codes"),
    ],
)
@pytest.mark.dialects("sqlite")
def test_an_invalid_fact_names_its_field(
    session: Session, clock: Clock, changes: dict[str, object], field: str
) -> None:
    add_site(session)
    with pytest.raises(InvalidInput) as error:
        accounts.create(session, ADMIN, facts(**changes), now=clock.now)
    assert error.value.field == field
    assert "short" not in str(error.value)


def test_an_address_has_one_account_whatever_its_letter_case(session: Session, clock: Clock) -> None:
    add_site(session)
    accounts.create(session, ADMIN, facts(), now=clock.now)
    with pytest.raises(DuplicateRecord):
        accounts.create(session, ADMIN, facts(email="ADA@clinic.EXAMPLE"), now=clock.now)
    assert len(accounts.list_all(session)) == 1


def test_the_right_password_signs_in_and_leads_to_the_page_asked_for(client: FlaskClient, session: Session) -> None:
    account = add_account(session, "coordinator")
    assert client.get("/subjects").location == "/sign-in?next=/subjects"
    answer = sign_in(client, "Coordinator@Clinic.example")
    assert (answer.status_code, answer.location) == (302, "/")
    assert client.get("/subjects").status_code == 200
    assert ("account.sign-in", "account", {}) in events(session)
    assert account.password is not None


def test_a_wrong_password_and_an_unknown_address_look_the_same_and_are_audited(
    client: FlaskClient, session: Session
) -> None:
    account = add_account(session, "coordinator")
    wrong = sign_in(client, account, "not the right password")
    unknown = sign_in(client, "nobody@clinic.example", "not the right password")
    closed = add_account(session, "clinician")
    closed.active = False
    shut = sign_in(client, closed)
    for answer in (wrong, unknown, shut):
        assert "The address or the password is not right" in answer.text
    without_address = [answer.text.replace("nobody@", "").replace("coordinator@", "") for answer in (wrong, unknown)]
    assert len({len(text) for text in without_address}) == 1
    failed = [(kind, detail) for action, kind, detail in events(session) if action == "account.sign-in-failed"]
    assert failed == [
        ("service", {"account": account.id}),
        ("service", {"account": None}),
        ("service", {"account": closed.id}),
    ]


def test_failed_sign_ins_of_one_account_are_limited_and_successful_ones_do_not_count(
    client: FlaskClient, session: Session
) -> None:
    account = add_account(session, "coordinator")
    for _ in range(10):
        assert sign_in(client, account, "not the right password").status_code == 200
    refused = sign_in(client, account)
    assert refused.status_code == 429
    assert "Wait a few minutes" in refused.text


@pytest.mark.dialects("sqlite")
def test_failed_sign_ins_are_counted_over_all_web_processes_without_addresses(
    broker: RedisServer, app: Flask, client: FlaskClient, settings: Settings, session: Session, base_url: str
) -> None:
    account = add_account(session, "coordinator")
    for _ in range(10):
        sign_in(client, account, "not the right password")
    another_process = new_client(create_app(settings), session, base_url)
    assert sign_in(another_process, account).status_code == 429
    with redis.Redis(port=broker.port) as store:
        kept = b" ".join(store.keys("*"))
    assert b"sign-in" in kept
    assert b"coordinator" not in kept


@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example"])
@pytest.mark.dialects("sqlite")
def test_signing_in_does_not_redirect_to_another_host(client: FlaskClient, session: Session, target: str) -> None:
    account = add_account(session, "coordinator")
    data = {"email": account.email, "password": PASSWORD, "next": target}
    answer = submit(client, f"/sign-in?next={target}", data)
    assert answer.status_code == 302
    assert urlsplit(answer.location).netloc == ""
    assert client.get("/subjects").status_code == 200


def test_signing_out_ends_the_session_and_a_link_to_it_does_not(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "coordinator"))
    assert client.get("/sign-out").status_code == 405
    assert client.get("/subjects").status_code == 200
    assert submit(client, "/sign-out", {}, page="/subjects").location == "/sign-in"
    assert client.get("/subjects").status_code == 302
    assert ("account.sign-out", "account", {}) in events(session)


def test_a_sign_in_from_another_page_is_refused(client: FlaskClient, session: Session) -> None:
    account = add_account(session, "coordinator")
    answer = client.post("/sign-in", data={"email": account.email, "password": PASSWORD})
    assert answer.status_code == 400
    assert client.get("/subjects").status_code == 302


def test_a_session_ends_after_half_an_hour_without_use(client: FlaskClient, session: Session, clock: Clock) -> None:
    sign_in(client, add_account(session, "coordinator"))
    clock.advance(minutes=29)
    assert client.get("/subjects").status_code == 200
    clock.advance(minutes=29)
    assert client.get("/subjects").status_code == 200
    clock.advance(minutes=31)
    assert client.get("/subjects").location == "/sign-in?next=/subjects"
    assert "You were signed out because" in client.get("/sign-in").text
    assert client.get("/subjects").status_code == 302


def test_a_session_ends_after_twelve_hours_however_busy(client: FlaskClient, session: Session, clock: Clock) -> None:
    sign_in(client, add_account(session, "coordinator"))
    for _ in range(28):
        clock.advance(minutes=25)
        assert client.get("/subjects").status_code == 200
    clock.advance(minutes=25)
    assert client.get("/subjects").status_code == 302


def test_a_session_taken_to_another_browser_ends(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "coordinator"))
    assert client.get("/subjects", headers={"User-Agent": "another"}).status_code == 302


def test_a_new_password_ends_every_session(client: FlaskClient, session: Session, clock: Clock) -> None:
    account = add_account(session, "coordinator")
    sign_in(client, account)
    accounts.set_password(session, ADMIN, account, "another four words", now=clock.now)
    assert client.get("/subjects").status_code == 302
    assert "not right" in sign_in(client, account).text
    assert sign_in(client, account, "another four words").status_code == 302


@pytest.mark.parametrize(
    ("role", "home"),
    [
        ("coordinator", "/worklist"),
        ("clinician", "/worklist"),
        ("researcher", "/results"),
        ("administrator", "/accounts"),
    ],
)
@pytest.mark.dialects("sqlite")
def test_each_role_lands_on_its_own_page(client: FlaskClient, session: Session, role: str, home: str) -> None:
    sign_in(client, add_account(session, role))
    answer = client.get("/", follow_redirects=True)
    assert answer.status_code == 200
    assert answer.request.path == home


@pytest.mark.dialects("sqlite")
def test_an_empty_account_form_shows_all_missing_fields_at_once(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "administrator"))
    answer = submit(client, "/accounts/new", {})
    assert answer.status_code == 422
    for lacking in ("Enter the e-mail address.", "Enter the name.", "Choose the role.", "Enter a password."):
        assert lacking in answer.text


@pytest.fixture
def run(settings: Settings, database: str) -> Callable[..., str]:
    def invoke(*arguments: str, stdin: str = "") -> str:
        result = CliRunner().invoke(account_command, list(arguments), input=stdin, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


@pytest.mark.dialects("sqlite")
def test_the_command_adds_lists_and_gives_a_new_password(run: Callable[..., str], session: Session) -> None:
    add_site(session)
    session.commit()
    names = ("ada@clinic.example", "--name", "Ada Moss", "--role", "coordinator", "--site", "north")
    assert "Created ada@clinic.example" in run("add", *names, "--password-file", "-", stdin=f"{PASSWORD}\n")
    assert run("list") == "ada@clinic.example\tcoordinator\tnorth\tAda Moss\n"
    before = session.scalars(select(Account.password)).one()
    session.commit()
    output = run("password", "ada@clinic.example", stdin="another four words\nanother four words\n")
    session.expire_all()
    assert session.scalars(select(Account.password)).one() != before
    assert "another four words" not in output
