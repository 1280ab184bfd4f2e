"""The configuration of a clinic is documented, complete, and has no secret with a default."""

import re
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from config.settings import PREFIX, SERVICE_SETTINGS, WEBHOOK_SECRETS, MissingSettings, Settings, load_settings
from pro_tracker.domain.channels import Channel
from pro_tracker.providers.registry import channel_providers
from pro_tracker.web.webhooks.registry import channel_webhook

ROOT = Path(__file__).parents[2]


def test_every_setting_is_in_the_example_file():
    explained = set(re.findall(rf"^#?({PREFIX}[A-Z_]+)=", (ROOT / "config/env.example").read_text(), re.MULTILINE))

    assert {PREFIX + name.upper() for name in Settings.model_fields} <= explained


def test_start_up_fails_once_and_names_every_missing_variable():
    with pytest.raises(MissingSettings) as failed:
        load_settings(*SERVICE_SETTINGS)

    assert all(PREFIX + name.upper() in str(failed.value) for name in SERVICE_SETTINGS)


def test_every_channel_has_the_settings_that_its_modules_name():
    missing = {channel: _missing_settings(channel, channel_providers(channel)) for channel in Channel}

    assert {channel: names for channel, names in missing.items() if names} == {}
    assert {channel_webhook(channel).SECRET for channel in Channel} == set(WEBHOOK_SECRETS)


def test_a_channel_without_its_settings_is_named_with_each_of_them():
    pager = SimpleNamespace(PROVIDERS={"none": (), "gateway": ("pager_gateway_url",)}, RATE="pager_per_second")

    assert _missing_settings("pager", pager) == ["pager_per_second", "pager_gateway_url", "pager_provider"]


def test_a_setting_of_the_provider_that_knows_other_names_than_the_module_is_found():
    other = SimpleNamespace(PROVIDERS={"twilio": (), "console": ()}, RATE="sms_per_second")

    assert _missing_settings("sms", other) == ["sms_provider: one of twilio, console; twilio if not set"]


def _missing_settings(channel, providers):
    """Returns the settings that are missing or differ from the channel's module in `providers`."""
    named = [providers.RATE, *chain.from_iterable(providers.PROVIDERS.values())]
    missing = [name for name in dict.fromkeys(named) if name not in Settings.model_fields]
    if len(providers.PROVIDERS) == 1:
        return missing
    setting = f"{channel}_provider"
    field = Settings.model_fields.get(setting)
    if field is None:
        return [*missing, setting]
    default, *others = providers.PROVIDERS
    if field.default != default or set(get_args(field.annotation)) != {default, *others}:
        missing.append(f"{setting}: one of {', '.join(providers.PROVIDERS)}; {default} if not set")
    return missing


@pytest.mark.parametrize("channel", Channel)
def test_the_addresses_and_secrets_of_a_channel_are_checked_at_start_up(channel):
    options = chain.from_iterable(channel_providers(channel).PROVIDERS.values())
    names = {name for name in options if name.endswith("_url")} | {channel_webhook(channel).SECRET}

    for name in names:
        with pytest.raises(ValidationError, match=name):
            Settings.model_validate({name: "unusable"})


def test_compose_gives_every_process_what_it_needs_and_no_secret_a_default():
    text = (ROOT / "docker-compose.yml").read_text()
    services = yaml.safe_load(text)["services"]

    for name in ("web", "worker", "beat", "migrate"):
        assert {PREFIX + setting.upper() for setting in SERVICE_SETTINGS} <= set(services[name]["environment"])
    own = {PREFIX + setting.upper() for setting in Settings.model_fields}
    assert own - set(services["worker"]["environment"]) == set(), "set in .env and ignored"
    assert re.findall(r"\$\{\w*(?:KEYS?|PASSWORD)(?!:\?|\w)", text) == []


def test_compose_runs_no_container_as_root():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    own_image = (ROOT / "Dockerfile").read_text()

    assert "\nUSER pro-tracker\n" in own_image
    assert [name for name, service in services.items() if "build" not in service and "user" not in service] == []
    assert [name for name, service in services.items() if name != "migrate" and "healthcheck" not in service] == []
