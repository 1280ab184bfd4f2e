"""Every data file that is shipped loads."""

from pathlib import Path

import pro_tracker
from config.settings import Settings
from pro_tracker.services import catalog, protocols, sites

PACKAGE = Path(pro_tracker.__file__).parent


def test_every_instrument_and_text_pack_loads():
    assert catalog.problems() == []
    assert len(catalog.instruments()) >= 6


def test_every_protocol_loads():
    assert protocols.problems() == []
    assert "ketamine-5day" in {protocol.code for protocol in protocols.protocols()}


def test_every_shipped_definition_is_one_that_is_read():
    shipped = {
        path for folder in ("instruments", "protocols") for path in (PACKAGE / folder).rglob("*") if path.is_file()
    }

    assert shipped == {*catalog.all_files(), *protocols.all_files()}


def test_the_shipped_sites_load():
    assert [site.code for site in sites.read(Settings.model_fields["sites_file"].default)] == ["north", "south"]
