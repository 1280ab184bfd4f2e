"""Lists of codes outside of the enums agree with them: the ledger check, formats, documents."""

import ast
import re
from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import get_args

import pytest

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.change import Verdict
from pro_tracker.domain.channels import HELPER_CHANNELS, PREFERABLE_CHANNELS, Channel
from pro_tracker.domain.consent import ANSWERS_TO_FORM
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.delivery_reports import ReportEvent, WebhookCountKind
from pro_tracker.domain.message_codes import EndReason, HoldReason, MessageKind, MessageState, SendOutcome
from pro_tracker.domain.protocol import Anchor, ChannelWord
from pro_tracker.domain.response_codes import ResponseMode, ResponseStatus
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import VisitStatus
from pro_tracker.ledger_check import (
    anchor_dates,
    consent_checks,
    missing_messages,
    person_consents,
    recorded_state,
    send_rules,
    state_checks,
)
from pro_tracker.providers.registry import NO_PROVIDER, channel_providers
from pro_tracker.web.webhooks.gateway import GatewayEvent
from tests.support.code_finder import PACKAGE, PROJECT, codes_by_column_name

ANSWERS_NOTHING = {ReportEvent.START, ReportEvent.HELP, ReportEvent.OTHER}  # no message of ours
NEVER_ASKED = {UnansweredReason.NO_DATE}  # such a visit has no row
OF_TABLES = {"message", "visit", "attempt"}  # that the check of the ledger reads
NAMED = re.compile(r"`([a-z-]+)`")


def test_the_ledger_check_knows_every_channel_with_addresses() -> None:
    assert recorded_state.CHANNELS == PREFERABLE_CHANNELS
    assert (recorded_state.HELPER,) == HELPER_CHANNELS


def test_the_ledger_check_uses_existing_codes() -> None:
    assert set(state_checks.SUBMITTED_STATES) | set(missing_messages.FAILED_STATES) <= set(MessageState)
    assert set(anchor_dates.CHECKED_ANCHORS) <= set(get_args(Anchor))
    assert send_rules.SNOOZE == MessageKind.SNOOZE
    assert set(consent_checks.UNPLANNED_KINDS) <= set(MessageKind)
    assert (person_consents.GIVEN, person_consents.DECLINED) == ANSWERS_TO_FORM
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


@pytest.mark.parametrize(
    ("term", "codes"),
    [
        ("Change verdict", Verdict),
        ("Channel", Channel),
        ("Contact state", ContactState),
        ("Hold", HoldReason),
        ("Kind of message", MessageKind),
        ("Message", MessageState),
        ("Mode of administration", ResponseMode),
        ("Outcome", SendOutcome),
        ("Preferred channel", ChannelWord),
        ("QuestionnaireResponse", ResponseStatus),
        ("Role", Role),
        ("Visit status", VisitStatus),
        ("Withdrawal", WithdrawalScope),
    ],
)
def test_the_glossary_lists_exactly_the_existing_codes(term: str, codes: type[StrEnum]) -> None:
    text = (PROJECT / "docs" / "glossary.md").read_text(encoding="utf-8")
    entry = re.search(rf"^- \*\*{term}\*\*(?: \([^)]*\))?: (.*?)\*Source:\*", text, flags=re.MULTILINE | re.DOTALL)
    assert entry is not None
    assert set(NAMED.findall(entry[1])) == set(codes)


def test_the_format_of_protocols_has_a_line_for_each_channel_and_word_of_a_step() -> None:
    text = (PROJECT / "docs" / "protocol-format.md").read_text(encoding="utf-8")
    rows = text.partition("| `channel` | the message goes |")[2].partition("\n\n")[0]
    first_cells = [row.split("|")[1] for row in rows.splitlines() if row.startswith("| `")]
    assert set(NAMED.findall(" ".join(first_cells))) == {*Channel, *ChannelWord}


def test_the_page_about_sending_lists_the_providers_of_each_channel_that_has_a_choice() -> None:
    text = (PROJECT / "docs" / "sending.md").read_text(encoding="utf-8")
    for channel in Channel:
        providers = set(channel_providers(channel).PROVIDERS)
        section = text.partition(f"`PRO_TRACKER_{channel.upper()}_PROVIDER` is ")[2].partition("\n## ")[0]
        named = set(re.findall(r"^- `([a-z]+)`", section, flags=re.MULTILINE)) | {NO_PROVIDER}
        assert len(providers) == 1 or named == providers | {NO_PROVIDER}, channel


def test_the_manual_of_the_ledgers_file_has_a_line_for_each_reason_of_a_message() -> None:
    text = (PROJECT / "docs" / "ledger-file.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([a-z-]+)` \|", text, flags=re.MULTILINE)
    of_visits = {EndReason.WITHDRAWN}  # named with the reasons of visits
    assert set(documented) == {*EndReason} - of_visits


def test_the_manual_of_operations_names_kinds_of_calls_that_there_are() -> None:
    text = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"many `([a-z]+)` calls", text)) <= set(WebhookCountKind)
