"""Each set of codes is defined once, as an enum of the domain; columns, CHECKs and labels hold just its members."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, Table
from sqlalchemy.orm import Session

from pro_tracker.db import Base, Code
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.calling import CLOSING_OUTCOMES, STOP_REMINDERS_AFTER
from pro_tracker.domain.change import Verdict
from pro_tracker.domain.channels import (
    ADDRESS_CHANNELS,
    BORROWING_CHANNELS,
    HELPER_CHANNELS,
    PREFERABLE_CHANNELS,
    Channel,
)
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.delivery_reports import ReportEvent, WebhookCountKind
from pro_tracker.domain.message_codes import EndReason, MessageKind
from pro_tracker.domain.response_codes import ACCESS_MODES, GIVEN_STATES
from pro_tracker.domain.subject_codes import Sex
from pro_tracker.domain.unanswered import RECORDED_BY_CALLS, UnansweredReason
from pro_tracker.models.subject import Contact
from pro_tracker.services.contacts.addresses import FIELDS
from pro_tracker.services.enrolment.facts import EnrolmentFacts
from pro_tracker.services.wording.message_format import TemplateEntry
from pro_tracker.web import labels
from tests.conftest import Clock
from tests.support.code_finder import (
    PACKAGE,
    code_columns,
    codes_by_column_name,
    enums,
    sets_of_keys,
    tables_of_codes,
)
from tests.support.course_builder import add_subject

# Columns that hold some codes of their set only.
RESTRICTED: Mapping[tuple[str, str], Sequence[StrEnum]] = {
    ("contact", "channel"): ADDRESS_CHANNELS,
    ("subject", "preferred_channel"): PREFERABLE_CHANNELS,
    ("late_answer", "state"): GIVEN_STATES,
    ("visit_access", "mode"): ACCESS_MODES,
}
ONE_OF = re.compile(r"(\w+) IN \(([^)]*)\)")
COMPARED = re.compile(r"(\w+) (?:=|<>) '([^']*)'")
# Mappings that cover a part of a set of codes on purpose: the codes left out, with the reason.
LEFT_OUT: Mapping[str, set[StrEnum]] = {
    "domain.endings.EXTENTS": {*UnansweredReason}  # these end one visit; a death ends everything
    - {UnansweredReason.REFUSED, UnansweredReason.TOO_ILL, UnansweredReason.HOSPITAL},
    "domain.unanswered.RECORDED_BY_CALLS": {
        *(CallAttemptOutcome.REACHED, CallAttemptOutcome.VOICEMAIL, CallAttemptOutcome.NO_ANSWER),  # give no reason
        CallAttemptOutcome.DIED,  # the death is recorded by itself, and may be reverted
    },
    "services.contacts.addresses.FIELDS": {*BORROWING_CHANNELS, *HELPER_CHANNELS},  # no address of the subject's own
    "services.sending.delivery_reports.REPLIES": {  # reported by a provider, so there is no reply
        *(ReportEvent.DELIVERED, ReportEvent.FAILED, ReportEvent.COMPLAINED),
        *(ReportEvent.HARD_BOUNCE, ReportEvent.SOFT_BOUNCE, ReportEvent.KEY_PRESSED),
    },
    "services.sending.key_presses.REPLIES": {  # no key says these
        *(set(ReportEvent) - {ReportEvent.KEY_PRESSED, ReportEvent.STOP})
    },
    "web.labels.ALERT_CALL_OUTCOMES": {  # an alert needs a conversation with the subject
        *(CallAttemptOutcome.REFUSED, CallAttemptOutcome.TOO_ILL, CallAttemptOutcome.HOSPITAL),
        CallAttemptOutcome.LANGUAGE,
    },
    "web.labels.CONTACT_ADVICE": {ContactState.ACTIVE},  # needs no advice
    "web.labels.CONTACT_STATES": {ContactState.ACTIVE},
    "web.labels.HELPER_ADVICE": {ContactState.ACTIVE},
    "web.labels.PREFERRED_CHANNELS": {*BORROWING_CHANNELS, *HELPER_CHANNELS},
    "web.staff.ledger_labels.ACTORS": {ActorKind.ACCOUNT},  # has a name of its own
    "web.staff.ledger_labels.REPORTS": {ReportEvent.DELIVERED, ReportEvent.OTHER},  # no problem
    "web.staff.trend_wording.VERDICTS": {Verdict.WITHIN_ERROR},  # two sentences, by what is known of the error
    "web.webhooks.blueprint.STATUS": {  # not refused
        *(WebhookCountKind.TAKEN, WebhookCountKind.KNOWN, WebhookCountKind.UNKNOWN_SENDER)
    },
}
LABELLED = (
    *(
        "IDENTITY_FIELDS",
        "SEXES",
        "CHANNELS",
        "CONTACT_STATES",
        "INFUSION_STATES",
        "ROLES",
        "CALL_REASONS",
        "CALL_OUTCOMES",
        "CALL_TIMES",
    ),
    *(
        "UNANSWERED_REASONS",
        "MESSAGE_STATES",
        "WITHDRAWAL_SCOPES",
        "DEATH_DATE_PRECISIONS",
        "PLAN_CHANGES",
        "VISIT_STATES",
        "DUPLICATE_SIGNS",
    ),
)


def test_every_set_of_codes_is_in_the_domain() -> None:
    elsewhere = [
        f"{path.name}: {node.name}"
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "domain"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("StrEnum") for base in node.bases)
    ]
    assert len(enums()) > 25  # the search for enums works
    assert elsewhere == []


def test_every_column_of_codes_has_a_check_with_exactly_these() -> None:
    checked = {}
    for table, text in _checks():
        for column, listed in ONE_OF.findall(text):
            checked[table.name, column] = re.findall(r"'([^']*)'", listed)
    columns = {
        (column.table.name, column.name): list(dict.fromkeys(code.value for each in sets for code in each))
        for column, sets in code_columns()
    }
    columns |= {place: [code.value for code in codes] for place, codes in RESTRICTED.items()}
    assert checked == columns


def test_every_code_in_a_check_or_a_partial_index_is_one_of_its_column() -> None:
    known = {
        (column.table.name, column.name): {code for each in sets for code in each} for column, sets in code_columns()
    }
    conditions = [*_checks(), *_partial_indexes()]
    compared = [(table.name, *found) for table, text in conditions for found in COMPARED.findall(text)]
    assert len(compared) > 10
    assert [each for each in compared if each[2] not in known[each[0], each[1]]] == []


def _checks() -> Iterator[tuple[Table, str]]:
    for table in Base.metadata.sorted_tables:
        for constraint in table.constraints:
            if isinstance(constraint, CheckConstraint):
                yield table, str(constraint.sqltext)


def _partial_indexes() -> Iterator[tuple[Table, str]]:
    for table in Base.metadata.sorted_tables:
        for index in table.indexes:
            if (where := index.dialect_options["postgresql"]["where"]) is not None:
                yield table, str(where)


def test_every_table_keyed_by_codes_has_them_all() -> None:
    missing = {name: _of(table) - table.keys() for name, table in tables_of_codes()}
    assert {name: codes for name, codes in missing.items() if codes} == LEFT_OUT


def _of(table: Mapping[Any, Any]) -> set[StrEnum]:
    (codes,) = sets_of_keys(table)
    return set(codes)  # type: ignore[call-overload]  # iterating an enum class gives its members


def test_the_words_of_staff_pages_are_keyed_by_codes() -> None:
    assert [name for name in LABELLED if len(sets_of_keys(getattr(labels, name))) != 1] == []


def test_every_kind_of_message_has_a_name_on_the_plans_preview() -> None:
    assert [kind for kind in MessageKind if labels.template_name(kind) == kind and kind != MessageKind.REMINDER] == []
    assert set(MessageKind) <= labels.MESSAGE_TEMPLATES.keys()


def test_every_channel_has_its_address_among_the_facts_and_its_words_in_a_template() -> None:
    assert set(FIELDS.values()) <= EnrolmentFacts.__dataclass_fields__.keys()
    assert set(Channel) == TemplateEntry.model_fields.keys()


def test_a_refusal_by_telephone_gives_the_visit_its_reason() -> None:
    assert {
        code for code, found in CLOSING_OUTCOMES.items() if found in STOP_REMINDERS_AFTER
    } <= RECORDED_BY_CALLS.keys()


def test_no_code_is_compared_or_assigned_as_a_bare_string() -> None:
    known = codes_by_column_name()
    bare = [
        f"{path.relative_to(PACKAGE)}:{line}: {name} and {text!r}"
        for path in PACKAGE.rglob("*.py")
        if "ledger_check" not in path.parts
        for name, text, line in _compared_or_assigned(ast.parse(path.read_text(encoding="utf-8")))
        if text in known.get(name, ())
    ]
    assert bare == []


def _compared_or_assigned(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Yields (attribute, keyword or key; string; line) of each comparison and assignment."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            names = [side.attr for side in sides if isinstance(side, ast.Attribute)]
            yield from ((name, text, node.lineno) for name in names for text in _strings(sides))
        elif isinstance(node, ast.Call):
            yield from (
                (each.arg or "", text, node.lineno) for each in node.keywords for text in _strings([each.value])
            )
        elif isinstance(node, ast.Dict):
            keyed = zip(node.keys, node.values, strict=True)
            pairs = ((key.value, _strings([value])) for key, value in keyed if isinstance(key, ast.Constant))
            yield from ((str(name), text, node.lineno) for name, texts in pairs for text in texts)
        elif isinstance(node, ast.Assign):
            names = [target.attr for target in node.targets if isinstance(target, ast.Attribute)]
            yield from ((name, text, node.lineno) for name in names for text in _strings([node.value]))


def _strings(parts: list[ast.expr]) -> Iterator[str]:
    """Yields bare strings, also those inside tuples, lists and sets."""
    for part in parts:
        for each in part.elts if isinstance(part, ast.Tuple | ast.List | ast.Set) else [part]:
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                yield each.value


def test_templates_compare_with_existing_codes() -> None:
    known = codes_by_column_name()
    compared = [
        (path.name, name, text)
        for path in (PACKAGE / "web" / "templates").rglob("*.html")
        for name, text in re.findall(r"\w+\.(\w+) [=!]= \"([^\"]+)\"", path.read_text(encoding="utf-8"))
        if name in known
    ]
    assert ("subject.html", "state", "active") in compared
    in_formats = {"choice", "wrong-visit"}  # a kind of response set; a source of an edit, stored as edit_source
    assert [each for each in compared if each[2] not in known[each[1]] | in_formats] == []


def test_a_column_of_codes_returns_members(session: Session, clock: Clock) -> None:
    subject = add_subject(session, clock.now)
    session.expire_all()
    assert (subject.sex, subject.preferred_channel) == (Sex.FEMALE, Channel.EMAIL)
    assert {type(subject.sex), type(subject.preferred_channel)} == {Sex, Channel}
    assert {type(state) for state in session.scalars(Contact.__table__.select().with_only_columns(Contact.state))} == {
        ContactState
    }


def test_a_code_is_kept_as_its_text_and_an_unknown_one_is_not_read() -> None:
    column: Any = Code((EndReason, UnansweredReason))
    assert column.process_result_value("paused", None) is EndReason.PAUSED
    assert column.process_result_value("no-date", None) is UnansweredReason.NO_DATE
    assert column.process_result_value(None, None) is None
    with pytest.raises(KeyError):
        column.process_result_value("perhaps", None)


def test_statements_about_different_codes_are_not_taken_for_each_other() -> None:
    keys = {Code(each)._static_cache_key for each in enums()}
    assert len(keys) == len(enums())
