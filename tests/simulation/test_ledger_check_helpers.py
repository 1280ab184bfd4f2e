"""`pro-tracker check-ledger` knows messages to a helper: required with an address only, apart from the patient's."""

from pathlib import Path

import pytest
import yaml

from pro_tracker.domain.channels import Channel
from pro_tracker.models.message import Message
from pro_tracker.services.protocols import protocol_catalog
from tests.support.ledger_fixture import LedgerFixture, at
from tests.support.patient_browser import FACTS

MISSING = "missing, or more than one hour late"
UNKNOWN = "sent to a helper who was not on file"
LINK = "link in a message to a helper"
HELPER_STEP = 4  # due on March 9 at 9, as the patient's step 1

pytestmark = pytest.mark.dialects("sqlite")


@pytest.fixture
def protocols(tmp_path: Path) -> Path:
    """A folder with the shipped protocol, and a step that reminds the helper."""
    path = protocol_catalog.PROTOCOLS / "ketamine-5day.yaml"
    file = yaml.safe_load(path.read_text(encoding="utf-8"))
    file["messages"]["steps"].append({"day": 3, "channel": "helper", "template": "reminder"})
    folder = tmp_path / "protocols"
    folder.mkdir()
    (folder / path.name).write_text(yaml.safe_dump(file), encoding="utf-8")
    return folder


def name_helper(ledger: LedgerFixture) -> None:
    ledger.log(at(3, 10), "address", channel="helper", to=FACTS.mobile)


def send_to_helper(ledger: LedgerFixture) -> Message:
    message = ledger.add_copy(ledger.message(1), step=HELPER_STEP, channel=Channel.HELPER)
    ledger.send(message, at(9, 9))
    return message


def test_nothing_is_missing_without_a_helper(ledger: LedgerFixture, tmp_path: Path, protocols: Path) -> None:
    assert ledger.findings(tmp_path, protocols) == {}


def test_a_helper_who_is_not_reminded_is_found(ledger: LedgerFixture, tmp_path: Path, protocols: Path) -> None:
    name_helper(ledger)
    assert ledger.findings(tmp_path, protocols) == {MISSING: 1}


def test_patient_and_helper_may_be_written_to_on_one_day(
    ledger: LedgerFixture, tmp_path: Path, protocols: Path
) -> None:
    name_helper(ledger)
    send_to_helper(ledger)
    assert ledger.findings(tmp_path, protocols) == {}


def test_a_message_to_a_removed_helper_is_found(ledger: LedgerFixture, tmp_path: Path, protocols: Path) -> None:
    name_helper(ledger)
    ledger.log(at(8, 10), "helper-removed")
    send_to_helper(ledger)
    assert ledger.findings(tmp_path, protocols) == {UNKNOWN: 1, "sent to another address": 1, "sent but not due": 1}


def test_a_message_before_the_helper_was_named_is_found(ledger: LedgerFixture, tmp_path: Path, protocols: Path) -> None:
    send_to_helper(ledger)
    ledger.log(at(9, 9, 1), "address", channel="helper", to=FACTS.mobile)
    assert ledger.findings(tmp_path, protocols) == {UNKNOWN: 1, "sent to another address": 1, "sent but not due": 1}


def test_a_message_after_the_helper_stopped_them_is_found(
    ledger: LedgerFixture, tmp_path: Path, protocols: Path
) -> None:
    name_helper(ledger)
    ledger.log(at(8, 10), "channel-closed", channel="helper")
    send_to_helper(ledger)
    assert ledger.findings(tmp_path, protocols) == {"sent to a closed channel": 1, "sent but not due": 1}


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("Please remind them.\n\nNo more mails:\nhttps://clinic.example/helper/7-0f/stop\n", {}),
        ("Please answer: https://clinic.example/v/token", {LINK: 1}),
        ("https://clinic.example/v/token/helper/7-0f/stop", {LINK: 1}),
    ],
)
def test_a_link_to_a_helper_is_found_unless_it_ends_the_mails(
    ledger: LedgerFixture, tmp_path: Path, protocols: Path, text: str, findings: dict[str, int]
) -> None:
    name_helper(ledger)
    key = str(send_to_helper(ledger).key)
    next(entry for entry in ledger.entries if entry.get("key") == key)["text"] = text
    assert ledger.findings(tmp_path, protocols) == findings


def test_a_failed_message_to_the_helper_needs_no_call(ledger: LedgerFixture, tmp_path: Path, protocols: Path) -> None:
    name_helper(ledger)
    message = send_to_helper(ledger)
    ledger.entries.remove(next(entry for entry in ledger.entries if entry.get("key") == str(message.key)))
    message.state, message.sent_at = "failed", None  # type: ignore[assignment]
    ledger.end_log(at(12, 12))
    assert ledger.findings(tmp_path, protocols) == {}
