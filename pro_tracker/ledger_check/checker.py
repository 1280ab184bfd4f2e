"""Runs all checks over one ledger and one event log."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from pro_tracker.ledger_check.adverse_event_checks import check_adverse_events
from pro_tracker.ledger_check.answer_checks import check_answers
from pro_tracker.ledger_check.consent_checks import check_consents
from pro_tracker.ledger_check.context import CheckContext, CheckResult
from pro_tracker.ledger_check.death_checks import check_after_deaths
from pro_tracker.ledger_check.event_log import read_log
from pro_tracker.ledger_check.ledger_snapshot import read_ledger
from pro_tracker.ledger_check.missed_infusion_checks import check_missed_infusions
from pro_tracker.ledger_check.missing_messages import (
    check_failures_without_call,
    check_missing_messages,
    check_unexplained_visits,
)
from pro_tracker.ledger_check.replay import replay
from pro_tracker.ledger_check.send_checks import check_accepted_messages
from pro_tracker.ledger_check.site_checks import check_sites
from pro_tracker.ledger_check.state_checks import check_message_states
from pro_tracker.ledger_check.stored_answers import read_answers
from pro_tracker.ledger_check.stored_consents import read_consents
from pro_tracker.ledger_check.stored_sites import read_sites
from pro_tracker.ledger_check.visit_checks import check_missing_visits, check_visit_dates, check_voided_visits


def run_checks(connection: Connection, log_path: Path, protocol_folders: Sequence[Path]) -> list[CheckResult]:
    """Runs every check for the subjects in the log. The connection needs read access only."""
    recorded = replay(read_log(log_path))
    ledger = read_ledger(connection, recorded.patients.keys())
    consents = read_consents(connection)
    context = CheckContext(
        recorded,
        ledger,
        read_answers(connection),
        read_sites(connection, consents.left_out),
        consents,
        tuple(protocol_folders),
    )
    return [
        check_missing_messages(context),
        *check_accepted_messages(context),
        *check_message_states(context),
        check_visit_dates(context),
        check_missing_visits(context),
        check_failures_without_call(context),
        check_unexplained_visits(context),
        check_voided_visits(context),
        check_after_deaths(context),
        *check_consents(context),
        *check_answers(context),
        *check_sites(context),
        *check_adverse_events(connection),
        *check_missed_infusions(connection),
    ]
