"""A protocol with a consent form, and what a patient does with it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.consent import ConsentMode, ConsentOutcome, ConsentPurpose
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import consent_decisions
from pro_tracker.services.enrolment.consent_decisions import ConsentFacts
from pro_tracker.services.instruments import data_files
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.wording import consent_forms
from tests.support import pinned_protocols
from tests.support.battery import changed_protocol
from tests.support.course_builder import COORDINATOR
from tests.support.patient_browser import post

SHIPPED = consent_forms.CONSENTS / "example.yaml"


@contextmanager
def with_consent_form(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str = "example") -> Iterator[Path]:
    """Lets the protocol ketamine-5day ask for consent with a form of this folder. Yields the file of the form."""
    consents, protocols = folder / "consents", folder / "protocols"
    consents.mkdir()
    protocols.mkdir()
    monkeypatch.setattr(consent_forms, "CONSENTS", consents)
    path = consents / f"{code}.yaml"
    path.write_text(SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
    forget()

    def name_form(data: dict[str, Any]) -> None:
        data["consent"] = code

    with changed_protocol(protocols, monkeypatch, name_form):
        yield path
    forget()


@contextmanager
def shipped_with_form(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Lets the newest shipped version of ketamine-5day ask for consent by a form of two versions; yields its folder."""
    consents, protocols = folder / "consents", folder / "protocols"
    shutil.copytree(pinned_protocols.SHIPPED, protocols)
    path = protocols / "ketamine-5day.yaml"
    path.write_text(f"{path.read_text(encoding='utf-8')}\nconsent: example\n", encoding="utf-8")
    consents.mkdir()
    text = SHIPPED.read_text(encoding="utf-8")
    (consents / "example@1.yaml").write_text(text, encoding="utf-8")
    (consents / "example.yaml").write_text(text.replace('version: "1"', 'version: "2"'), encoding="utf-8")
    monkeypatch.setattr(consent_forms, "CONSENTS", consents)
    monkeypatch.setattr(protocol_catalog, "PROTOCOLS", protocols)
    forget()
    pinned_protocols.forget()
    yield protocols
    forget()
    pinned_protocols.forget()


def forget() -> None:
    """Makes this process read the consent forms again."""
    consent_forms.read_form.cache_clear()
    data_files._in.cache_clear()


def change_form(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the content of the form, such as its version."""
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    forget()


def raise_version(path: Path) -> None:
    """Puts version 2 of the form in effect."""
    change_form(path, lambda data: data.update(version="2"))


def agree(client: FlaskClient, page: TestResponse, *purposes: str, name: str = "Zoë Demo") -> TestResponse:
    """Agrees to these purposes on the page of the form."""
    return post(client, page, {"purposes": list(purposes), "signed_name": name})  # type: ignore[dict-item]


def decline(client: FlaskClient, page: TestResponse) -> TestResponse:
    return post(client, page, {"decline": "yes"})


def consent(session: Session, subject: Subject, now: datetime, *purposes: ConsentPurpose) -> ConsentDecision:
    """Records that the person agreed to these purposes of the newest version on their own device."""
    form = consent_forms.form("example")
    agreed = {purpose: purpose in purposes for purpose in form.purposes}
    facts = ConsentFacts(form, ConsentOutcome.GIVEN, ConsentMode.OWN_DEVICE, "en", agreed, "Zoë Demo")
    return consent_decisions.record(session, COORDINATOR, subject, facts, now=now)
