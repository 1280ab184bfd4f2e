"""`pro-tracker migrate`: tables, sites and released data files."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.models.definition import Definition
from pro_tracker.models.site import Site
from pro_tracker.services.clinic import sites
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog, releases
from pro_tracker.services.wording import consent_forms
from tests.support.staff_browser import add_site

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def test_every_data_file_is_released_once(session: Session) -> None:
    first = releases.release(session, now=NOW)
    files = [*instrument_catalog.all_files(), *protocol_catalog.all_files(), *consent_forms.all_files()]
    assert first.stored == len(files)
    assert releases.release(session, now=NOW).stored == 0


def test_a_file_changed_under_a_version_in_use_is_not_released(session: Session) -> None:
    releases.release(session, now=NOW)
    released = session.scalars(select(Definition).where(Definition.code == "pcs")).one()
    released.sha256 = "0" * 64  # as if the file had had other content when it was released
    session.flush()
    result = releases.release(session, now=NOW)
    assert (result.stored, len(result.problems)) == (0, 1)
    assert "changed under version 1.0, which was released and stays in use" in result.problems[0].reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        ("sites: []", "sites: must have at least 1 item"),
        ("- north", "the file must hold keys and values at its top level"),
    ],
)
def test_an_unusable_list_of_sites_is_reported(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "sites.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidDataFile, match=re.escape(f"{path}: {reason}")):
        sites.read(path)


def test_a_site_is_updated_and_never_deleted(session: Session) -> None:
    add_site(session)
    facts = sites.SiteFacts(code="west", name="West", time_zone="Europe/Madrid", phone="+34 600 000 000")
    assert sites.sync(session, [facts], now=NOW) == 1
    assert sites.sync(session, [facts.model_copy(update={"name": "West Clinic"})], now=NOW) == 0
    named = session.scalar(select(Site.name).where(Site.code == "west"))
    assert named == "West Clinic"
    assert session.scalar(select(Site.code).where(Site.code == "north")) == "north"
