"""Every data file that is shipped loads."""

from pathlib import Path

import pytest

import pro_tracker
from config.settings import Settings
from pro_tracker.services.clinic import sites
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.instruments.data_files import load_yaml
from pro_tracker.services.protocols import protocol_catalog
from tests.support.pinned_protocols import PINNED, SHIPPED

PACKAGE = Path(pro_tracker.__file__).parent


def test_every_instrument_and_text_pack_loads():
    assert instrument_catalog.problems() == []
    assert len(instrument_catalog.instruments()) >= 6


@pytest.mark.usefixtures("shipped_protocols")
def test_every_protocol_loads():
    assert protocol_catalog.problems() == []
    assert "ketamine-5day" in {protocol.code for protocol in protocol_catalog.protocols()}


def test_tests_live_through_version_1_as_it_is_shipped() -> None:
    pinned = load_yaml(PINNED / "ketamine-5day.yaml")
    shipped = [load_yaml(path) for path in SHIPPED.glob("ketamine-5day*.yaml")]
    assert pinned in shipped


@pytest.mark.usefixtures("shipped_protocols")
def test_every_shipped_definition_is_one_that_is_read():
    shipped = {
        path for folder in ("instruments", "protocols") for path in (PACKAGE / folder).rglob("*") if path.is_file()
    }

    assert shipped == {*instrument_catalog.all_files(), *protocol_catalog.all_files()}


def test_the_shipped_sites_load():
    assert [site.code for site in sites.read(Settings.model_fields["sites_file"].default)] == ["north", "south"]
