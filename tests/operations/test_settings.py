"""Settings of the environment: missing or unusable ones are reported once, in one line, without the value."""

import os
import subprocess
import sys

import pytest

from config.settings import DATABASE_SETTINGS, SERVICE_SETTINGS, InvalidSettings, MissingSettings, load_settings


def test_all_missing_variables_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SERVICE_SETTINGS:
        monkeypatch.delenv(f"PRO_TRACKER_{name.upper()}", raising=False)
    with pytest.raises(MissingSettings) as refused:
        load_settings(*SERVICE_SETTINGS)
    assert all(f"PRO_TRACKER_{name.upper()}" in str(refused.value) for name in SERVICE_SETTINGS)


def test_a_variable_set_to_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRO_TRACKER_DATABASE_URL", "")
    with pytest.raises(MissingSettings, match="PRO_TRACKER_DATABASE_URL"):
        load_settings(*DATABASE_SETTINGS)


def test_an_error_is_reported_without_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRO_TRACKER_SECRET_KEY", "hush")
    monkeypatch.setenv("PRO_TRACKER_BASE_URL", "clinic")
    monkeypatch.setenv("PRO_TRACKER_LEASE_SECONDS", "soon")
    with pytest.raises(InvalidSettings) as refused:
        load_settings()
    message = str(refused.value)
    assert "PRO_TRACKER_SECRET_KEY must be at least 32 characters" in message
    assert "PRO_TRACKER_BASE_URL must be a web address" in message
    assert "PRO_TRACKER_LEASE_SECONDS must be a whole number" in message
    assert not any(value in message for value in ("hush", "soon"))


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("SMTP_URL", "mail.example:25", "must look like smtp://host:25"),
        ("SMTP_URL", "smtp://mail.example:mail", "must look like smtp://host:25"),
        ("SMTP_URL", "smtp://us:secret@mail.example", "would send its password in the clear"),
        ("BROKER_URL", "broker:6379", "must look like redis://"),
        ("MAIL_FROM", "unknown", "must be a mail address"),
        ("MAIL_FROM", "Clinic <no-reply@clinic.example>", "must be a mail address"),
        ("OPERATOR_MAIL", "unknown", "must be a mail address"),
        ("LOG_LEVEL", "LOUD", "must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("LEASE_SECONDS", "-5", "must be greater than 0"),
        ("TRUSTED_PROXIES", "many", "must be a whole number"),
        ("SMS_PROVIDER", "pigeon", "must be 'console', 'twilio' or 'gateway'"),
    ],
)
def test_an_unusable_value_is_rejected_at_the_start_with_what_it_must_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, advice: str
) -> None:
    monkeypatch.setenv(f"PRO_TRACKER_{name}", value)
    with pytest.raises(InvalidSettings) as refused:
        load_settings()
    assert str(refused.value) == f"PRO_TRACKER_{name} {advice}" + str(refused.value).partition(advice)[2]
    assert value not in str(refused.value)


def test_two_webhooks_with_the_same_secret_are_rejected_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMS_GATEWAY_SECRET", "VOICE_GATEWAY_SECRET"):
        monkeypatch.setenv(f"PRO_TRACKER_{name}", "s" * 32)
    with pytest.raises(InvalidSettings, match="PRO_TRACKER_VOICE_GATEWAY_SECRET must differ"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("nonsense", "must look like postgresql://"),
        ("mysql://clinic@127.0.0.1/clinic", "must look like postgresql://"),
        ("postgresql://unknown@127.0.0.1:1/nothing", "Check that it runs"),
        ("sqlite://", "Run: pro-tracker migrate"),
    ],
)
def test_an_unusable_database_gives_one_line_with_advice(url: str, advice: str) -> None:
    environment = {**os.environ, "PRO_TRACKER_DATABASE_URL": url, "PRO_TRACKER_FIELD_KEYS": "A" * 43 + "="}
    command = [sys.executable, "-c", "import sys; from pro_tracker.cli import main; sys.argv[0] = 'x'; main()"]
    ended = subprocess.run(
        [*command, "export", "long", "--out", "-"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert advice in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("provider", "missing"),
    [
        ("console", []),
        ("twilio", ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"]),
        ("gateway", ["SMS_GATEWAY_URL", "SMS_GATEWAY_TOKEN", "SMS_GATEWAY_SECRET"]),
    ],
)
def test_an_sms_provider_requires_its_own_settings(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, provider: str, missing: list[str]
) -> None:
    for name, value in {**environment, "PRO_TRACKER_SMS_PROVIDER": provider}.items():
        monkeypatch.setenv(name, value)
    if not missing:
        load_settings(*SERVICE_SETTINGS)
        return
    with pytest.raises(MissingSettings) as refused:
        load_settings(*SERVICE_SETTINGS)
    assert all(f"PRO_TRACKER_{name}" in str(refused.value) for name in missing)
    load_settings(*DATABASE_SETTINGS)  # a command that sends nothing does not need it


@pytest.mark.slow
@pytest.mark.parametrize(
    "process",
    [
        ("celery", "--app", "worker.celery_app:app", "worker"),
        ("celery", "--app", "worker.celery_app:app", "beat"),
        ("gunicorn", "--config", "python:config.gunicorn", "pro_tracker.app:create_app()"),
    ],
    ids=["worker", "beat", "web"],
)
def test_no_process_starts_with_missing_settings(environment: dict[str, str], process: tuple[str, ...]) -> None:
    module, *arguments = process
    faults = {
        "": "Not set in the environment: PRO_TRACKER_FIELD_KEYS.",
        "short": "A key in PRO_TRACKER_FIELD_KEYS is not 32 bytes",
    }
    for keys, reason in faults.items():
        ended = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **environment, "PRO_TRACKER_FIELD_KEYS": keys},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        assert ended.stderr.splitlines()[-1].startswith(f"pro-tracker: {reason}")
        assert "Traceback" not in ended.stdout + ended.stderr
