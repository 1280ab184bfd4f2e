"""Consent files: what they must hold, in every language of patients, and that a released version never changes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from pro_tracker.domain.consent import ConsentPurpose
from pro_tracker.services.protocols import protocol_catalog, releases
from pro_tracker.services.wording import consent_forms
from tests.conftest import Clock
from tests.support.consent_fixtures import change_form, forget, raise_version, with_consent_form


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with with_consent_form(tmp_path, monkeypatch) as path:
        yield path


def problems(path: Path, **changes: Any) -> dict[str, str]:
    """Returns key -> reason of every problem of the file after these changes."""
    change_form(path, lambda data: data.update(changes))
    return {problem.key: problem.reason for problem in consent_forms.problems(path)}


def test_the_shipped_form_has_no_problem() -> None:
    assert consent_forms.problems() == []
    assert consent_forms.form("example").required is ConsentPurpose.CARE


def test_a_language_of_patients_without_wording_is_named_and_cannot_be_released(
    session: Session, clock: Clock, path: Path
) -> None:
    change_form(path, lambda data: data["languages"].pop("es"))
    (problem,) = consent_forms.problems(path)
    assert problem.key == "languages.es"
    assert "could not consent" in problem.reason
    refused = releases.release(session, now=clock.now).problems
    assert "languages.es" in {each.key for each in refused}


def test_purposes_and_their_sentences_must_fit(path: Path) -> None:
    assert problems(path, required="sharing", purposes=["care", "registry"]) == {
        "required": "sharing is not among the purposes",
        "languages.en.purposes.sharing": "is not among the purposes of the form",
        "languages.es.purposes.sharing": "is not among the purposes of the form",
    }
    assert "must be" in problems(path, required=None, purposes=["care", "sales"])["purposes.1"]


def test_a_protocol_that_names_a_form_without_a_file_is_a_problem(path: Path) -> None:
    path.rename(path.with_name("other.yaml"))
    forget()
    protocol_catalog.read_protocol.cache_clear()
    found = {problem.key: problem.reason for problem in protocol_catalog.problems()}
    assert "there is no consent form example" in found["consent"]


def test_a_released_version_never_changes_and_the_newest_is_in_effect(
    session: Session, clock: Clock, path: Path
) -> None:
    releases.release(session, now=clock.now)
    session.commit()
    change_form(path, lambda data: data["languages"]["en"].update(title="Something else"))
    (problem,) = [each for each in releases.release(session, now=clock.now).problems if each.file == str(path)]
    assert "changed under version 1" in problem.reason
    assert consent_forms.form("example").text("en").title == "May we ask you?"
    raise_version(path)
    releases.release(session, now=clock.now)
    session.commit()
    assert (consent_forms.form("example").version, consent_forms.form("example", "1").version) == ("2", "1")
