"""The operator is notified by mail when messages are not sent, once at the start and once at the end."""

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session

from config.settings import load_settings
from pro_tracker import db
from pro_tracker.cli import group
from pro_tracker.cli.watch import Watch
from pro_tracker.models.provider_state import ProviderState
from pro_tracker.services.operations import heartbeats
from tests.conftest import Clock
from tests.servers.smtp import SmtpServer
from tests.support.sending_fixtures import add_baseline, at

OPERATOR = "it@clinic.example"


@pytest.fixture
def watch(settings: object, database: str, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setenv("PRO_TRACKER_SMTP_URL", smtp_server.url)
    monkeypatch.setenv("PRO_TRACKER_OPERATOR_MAIL", OPERATOR)
    return Watch(load_settings("operator_mail"), datetime(2026, 3, 6, tzinfo=UTC))


@pytest.fixture
def swept(session: Session, clock: Clock) -> Clock:
    """A clock, shortly after a sweep of the outbox."""
    clock.set(at(3, 6, 9))
    heartbeats.beat(session, "sweep", now=clock.now)
    session.commit()
    return clock


def alerts(server: SmtpServer) -> list[str]:
    return [str(mail.message["Subject"]) for mail in server.sent_to(OPERATOR)]


def test_no_alert_is_sent_while_everything_works(watch: Watch, swept: Clock, smtp_server: SmtpServer) -> None:
    assert watch.check(now=swept.now + timedelta(minutes=4)) == []
    assert alerts(smtp_server) == []


def test_five_minutes_without_a_sweep_give_one_alert_and_one_all_clear(
    watch: Watch, swept: Clock, session: Session, smtp_server: SmtpServer
) -> None:
    for minutes in (6, 7, 30):
        watch.check(now=swept.now + timedelta(minutes=minutes))
    assert alerts(smtp_server) == ["PRO Tracker: No message is being sent"]
    assert "The last sweep was at 2026-03-06 14:00 UTC." in smtp_server.sent_to(OPERATOR)[0].text

    heartbeats.beat(session, "sweep", now=swept.now + timedelta(minutes=31))
    session.commit()
    for minutes in (31, 32):
        watch.check(now=swept.now + timedelta(minutes=minutes))
    assert alerts(smtp_server)[1:] == ["PRO Tracker: Over: no message is being sent"]


def test_a_message_ten_minutes_late_gives_an_alert_without_personal_data(
    watch: Watch, swept: Clock, session: Session, smtp_server: SmtpServer
) -> None:
    add_baseline(session, swept)
    _sweep_at(session, swept.now + timedelta(minutes=9))
    assert watch.check(now=swept.now + timedelta(minutes=9)) == []
    _sweep_at(session, swept.now + timedelta(minutes=10))
    late = ["1 due messages were not sent; the oldest was due at 2026-03-06 14:00 UTC."]
    assert watch.check(now=swept.now + timedelta(minutes=10)) == late
    assert alerts(smtp_server) == ["PRO Tracker: Messages are late"]
    assert "patient" not in smtp_server.sent_to(OPERATOR)[0].text.lower()


def test_a_provider_that_is_down_gives_an_alert(
    watch: Watch, swept: Clock, session: Session, smtp_server: SmtpServer
) -> None:
    session.add(
        ProviderState(channel="sms", failures=5, probes=0, opened_at=swept.now, probe_at=swept.now, reply="503")
    )
    session.commit()
    assert watch.check(now=swept.now) == ["Sending is stopped for: sms."]
    assert alerts(smtp_server) == ["PRO Tracker: A provider does not take messages"]


def test_an_alert_that_the_mail_server_rejected_is_sent_later(
    watch: Watch, swept: Clock, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = smtp_server.url
    monkeypatch.setenv("PRO_TRACKER_SMTP_URL", "smtp://127.0.0.1:1")
    away = Watch(load_settings("operator_mail"), watch.began_at)
    assert away.check(now=swept.now + timedelta(minutes=6))
    assert alerts(smtp_server) == []
    monkeypatch.setenv("PRO_TRACKER_SMTP_URL", url)
    back = Watch(load_settings("operator_mail"), watch.began_at)
    back.check(now=swept.now + timedelta(minutes=7))
    assert len(alerts(smtp_server)) == 1


def test_a_database_outage_of_two_minutes_gives_an_alert_without_stored_state(
    watch: Watch, swept: Clock, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = db.make_engine("postgresql://unknown@127.0.0.1:1/nothing")
    monkeypatch.setitem(db.Session.kw, "bind", nowhere)
    for minutes in (0, 1, 2, 3):
        assert watch.check(now=swept.now + timedelta(minutes=minutes)) == ["The database cannot be reached."]
    assert alerts(smtp_server) == ["PRO Tracker: The database cannot be reached"]


def test_a_service_that_has_just_started_has_a_grace_period(
    watch: Watch, session: Session, clock: Clock, smtp_server: SmtpServer
) -> None:
    started = clock.now
    assert watch.check(now=started + timedelta(minutes=4), watching_since=started) == []
    assert watch.check(now=started + timedelta(minutes=5), watching_since=started) == ["No sweep was ever seen."]


def test_the_command_checks_once_and_reports_incidents(watch: Watch, session: Session, clock: Clock) -> None:
    assert _run("watch", "--once").output.strip().endswith("No sweep was ever seen.")
    assert _run("watch", "--once").exit_code == 1
    heartbeats.beat(session, "sweep", now=clock.now)
    session.commit()
    result = _run("watch", "--once")
    assert (result.exit_code, result.output.strip().splitlines()[-1]) == (0, "All is well.")


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


def _sweep_at(session: Session, moment: datetime) -> None:
    heartbeats.beat(session, "sweep", now=moment)
    session.commit()
