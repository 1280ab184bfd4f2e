"""Lists of codes outside of the enums agree with them: the ledger check, formats, documents."""

import ast
import re
from collections.abc import Collection, Iterator
from typing import get_args

import pytest

from pro_tracker.domain.channels import ADDRESS_CHANNELS, Channel
from pro_tracker.domain.delivery_reports import ReportEvent, WebhookCountKind
from pro_tracker.domain.message_codes import EndReason, MessageKind, MessageState
from pro_tracker.domain.protocol import Anchor
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.ledger_check import anchor_dates, missing_messages, recorded_state, send_rules, state_checks
from pro_tracker.web.webhooks.gateway import GatewayEvent
from tests.support.codes import PACKAGE, PROJECT, codes_by_column_name

ANSWERS_NOTHING = {ReportEvent.START, ReportEvent.HELP, ReportEvent.OTHER}  # no message of ours
NEVER_ASKED = {UnansweredReason.NO_DATE}  # such a visit has no row
OF_TABLES = {"message", "visit", "attempt"}  # that the check of the ledger reads
NAMED = re.compile(r"`([a-z-]+)`")


def test_the_ledger_check_knows_every_channel_with_addresses() -> None:
    assert recorded_state.CHANNELS == ADDRESS_CHANNELS


def test_the_ledger_check_uses_existing_codes() -> None:
    assert set(state_checks.SUBMITTED_STATES) | set(missing_messages.FAILED_STATES) <= set(MessageState)
    assert set(anchor_dates.CHECKED_ANCHORS) <= set(get_args(Anchor))
    assert send_rules.SNOOZE == MessageKind.SNOOZE
    known = codes_by_column_name(OF_TABLES)
    compared = list(_compared_by_the_check(known.keys()))
    assert {"state", "kind", "void_reason"} <= {name for name, _ in compared}
    assert [(name, code) for name, code in compared if code not in known[name]] == []


def _compared_by_the_check(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Returns (attribute, string) for each comparison of one of these attributes with a string literal."""
    for path in (PACKAGE / "ledger_check").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr in names:
                texts = [each.value for each in node.comparators if isinstance(each, ast.Constant)]
                yield from ((node.left.attr, text) for text in texts if isinstance(text, str))


def test_a_gateway_may_report_every_event_and_forward_a_text() -> None:
    accepted = set(get_args(GatewayEvent.model_fields["event"].annotation))
    assert accepted == {*ReportEvent} - {ReportEvent.OTHER} | {"text"}


@pytest.mark.parametrize(
    ("document", "line", "codes"),
    [
        ("ledger-file.md", "| MODE, TAKEN_BY |", {*ResponseMode}),
        ("ledger-file.md", "| KIND, STEP |", {*MessageKind}),
        ("ledger-file.md", "| CHANNEL |", {*Channel}),
        ("ledger-file.md", "| DELIVERED_AT, REPORTED |", {*ReportEvent} - ANSWERS_NOTHING - {ReportEvent.DELIVERED}),
        ("ledger-file.md", "| STATE |", {*MessageState}),
        ("exports.md", "**Why a visit was not answered**", {*UnansweredReason} - NEVER_ASKED),
        ("webhooks.md", "| `event` |", {"event", "text", *ReportEvent} - {ReportEvent.OTHER}),
        ("message-format.md", "| `templates` |", {"templates", "subject", "opening", *Channel}),
    ],
)
def test_a_document_lists_exactly_the_existing_codes(document: str, line: str, codes: set[str]) -> None:
    text = (PROJECT / "docs" / document).read_text(encoding="utf-8")
    paragraph = text[text.index(line) :].split("\n" if line.startswith("|") else "\n\n")[0]
    assert set(NAMED.findall(paragraph)) == codes


def test_the_manual_of_the_ledgers_file_has_a_line_for_each_reason_of_a_message() -> None:
    text = (PROJECT / "docs" / "ledger-file.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([a-z-]+)` \|", text, flags=re.MULTILINE)
    of_visits = {EndReason.WITHDRAWN}  # named with the reasons of visits
    assert set(documented) == {*EndReason} - of_visits


def test_the_manual_of_operations_names_kinds_of_calls_that_there_are() -> None:
    text = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"many `([a-z]+)` calls", text)) <= set(WebhookCountKind)
