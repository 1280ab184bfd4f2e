"""The configuration of a clinic is documented, complete, and has no secret with a default."""

import re
from pathlib import Path

import pytest
import yaml

from config.settings import PREFIX, SERVICE_SETTINGS, MissingSettings, Settings, load_settings

ROOT = Path(__file__).parents[2]


def test_every_setting_is_in_the_example_file():
    explained = set(re.findall(rf"^#?({PREFIX}[A-Z_]+)=", (ROOT / "config/env.example").read_text(), re.MULTILINE))

    assert {PREFIX + name.upper() for name in Settings.model_fields} <= explained


def test_start_up_fails_once_and_names_every_missing_variable():
    with pytest.raises(MissingSettings) as failed:
        load_settings(*SERVICE_SETTINGS)

    assert all(PREFIX + name.upper() in str(failed.value) for name in SERVICE_SETTINGS)


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
