"""Every audited change of a subject has a label on the ledger page, and the ledger file has a manual."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pro_tracker.services.record.ledger_changes import NO_CHANGES
from pro_tracker.services.record.ledger_file import HEADER
from pro_tracker.web.staff.ledger_labels import CHANGES, KINDS, NOT_SENT_REASONS, REPORTS

PROJECT = Path(__file__).parents[2]
PACKAGE, MANUAL = PROJECT / "pro_tracker", PROJECT / "docs" / "ledger-file.md"
OF_NO_MESSAGE = {"start", "help"}  # incoming texts that reply to no message


def test_every_recorded_change_of_a_subject_has_words():
    recorded = {action for call in _calls() if _is_about_a_subject(call) for action in _noun_verbs(call)}
    assert len(recorded) > 15  # the search finds what it is meant to
    assert {action for action in recorded if not action.startswith(NO_CHANGES)} - CHANGES.keys() == set()


def test_no_words_are_left_over():
    assert CHANGES.keys() - {action for call in _calls() for action in _noun_verbs(call)} == set()


def test_the_manual_of_the_file_explains_every_column_and_every_code():
    manual = MANUAL.read_text()
    words = set(re.findall(r"[A-Z_]{4,}", manual))
    codes = set(re.findall(r"`([^`]+)`", manual))
    assert set(HEADER) - words == set()
    assert {*NOT_SENT_REASONS, *KINDS, *REPORTS} - OF_NO_MESSAGE - codes == set()


def _calls() -> Iterator[ast.Call]:
    for path in PACKAGE.rglob("*.py"):
        yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def _is_about_a_subject(call: ast.Call) -> bool:
    """Returns whether the call makes an audit row: audit.record(..., subject_id=...) or audit.event(...)."""
    named = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return named in ("record", "event") and "subject_id" in {keyword.arg for keyword in call.keywords}


def _noun_verbs(call: ast.Call) -> Iterator[str]:
    """Returns the actions among the arguments."""
    for argument in call.args:
        for part in ast.walk(argument):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.count(".") == 1:
                yield part.value
