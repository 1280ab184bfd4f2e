"""The settings of an installation choose its providers; a package that is not installed is named in the error."""

import sys
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from config.settings import SERVICE_SETTINGS, load_settings
from pro_tracker.domain.channels import Channel
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.providers.gateway import GatewayProvider
from pro_tracker.providers.registry import NotInstalled
from pro_tracker.providers.twilio import TwilioProvider
from tests.servers.gateway import GatewayServer
from tests.servers.twilio import TwilioServer
from worker.providers import open_providers

TWILIO = {"ACCOUNT_SID": "AC" + "0" * 32, "AUTH_TOKEN": "the account's token", "FROM": "MG" + "1" * 32}

MOMENT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
TEXT = OutgoingMessage(uuid.UUID(int=7), "+12125550123", "", "Your questions are ready.", "", "en", MOMENT)


@pytest.fixture
def choose(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """`choose("twilio", TWILIO_FROM="+1...")` sets the environment and returns the settings."""

    def settings(provider: str, **variables: str):
        for name, value in {**environment, "PRO_TRACKER_SMS_PROVIDER": provider}.items():
            monkeypatch.setenv(name, value)
        for name, value in variables.items():
            monkeypatch.setenv(f"PRO_TRACKER_{name}", value)
        return load_settings(*SERVICE_SETTINGS)

    return settings


def test_the_console_provider_logs_text_messages_without_tokens(choose, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pro_tracker")
    with open_providers(choose("console")) as providers:
        providers[Channel.SMS].send(replace(TEXT, text="Come to https://pro-tracker.test/v/secret-token"))
    assert (providers[Channel.EMAIL].name, providers[Channel.SMS].name) == ("smtp", "console")
    assert "/v/***" in caplog.text
    assert "secret-token" not in caplog.text


def test_text_messages_go_through_twilio_which_reports_back(choose, twilio_api: TwilioServer) -> None:
    settings = choose(
        "twilio", TWILIO_URL=twilio_api.url, **{f"TWILIO_{name}": value for name, value in TWILIO.items()}
    )
    with open_providers(settings) as providers:
        assert isinstance(providers[Channel.SMS], TwilioProvider)
        providers[Channel.SMS].send(TEXT)
    (arrived,) = twilio_api.accepted
    assert arrived.callback.startswith("https://pro-tracker.test/webhooks/twilio/status")


def test_text_messages_go_through_a_gateway(choose, sms_gateway: GatewayServer) -> None:
    known = {"SMS_GATEWAY_URL": sms_gateway.url, "SMS_GATEWAY_TOKEN": sms_gateway.token, "SMS_GATEWAY_SECRET": "s" * 32}
    with open_providers(choose("gateway", **known)) as providers:
        assert isinstance(providers[Channel.SMS], GatewayProvider)
        providers[Channel.SMS].send(TEXT)
    assert len(sms_gateway.accepted) == 1


def test_a_client_that_is_not_installed_is_named_with_what_to_do(choose, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = choose("twilio", **{f"TWILIO_{name}": value for name, value in TWILIO.items()})
    for name in ("twilio", "twilio_client"):
        monkeypatch.delitem(sys.modules, f"pro_tracker.providers.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "twilio.rest", None)
    with pytest.raises(NotInstalled, match=r"pip install 'pro-tracker\[twilio\]'"), open_providers(settings):
        pass
