"""Withdrawal: no more visits and messages, optionally no use of the answers, and how staff revert it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli.exports import export
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.correction import Correction
from pro_tracker.services.enrolment import enrolment, withdrawals
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import plan_preview
from pro_tracker.services.results import aggregates
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.history_builder import answer_visit, treated, visit_of
from tests.support.staff_browser import add_account, save, sign_in, submit

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


def test_a_reverted_withdrawal_revives_visits_that_can_still_be_answered(session: Session) -> None:
    subject = treated(session, date(2026, 2, 26), NOW)
    before = plan_preview.current_plan(session, subject.id, now=LATER)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved away", WithdrawalScope.DATA), now=NOW)
    assert plan_preview.current_plan(session, subject.id, now=NOW).messages == ()
    withdrawals.revert(session, COORDINATOR, subject, reason="another patient", now=LATER)
    assert plan_preview.current_plan(session, subject.id, now=LATER) == before
    assert visit_of(session, subject, "last-infusion").void_reason == "withdrawn", "its time is over"
    assert (subject.withdrawn_at, subject.withdrawn_reason, subject.withdrawn_scope) == (None, None, None)
    kept = session.scalars(select(Correction)).one()
    assert (kept.before["withdrawn_reason"], kept.before["scope"]) == ("moved away", "data")


def test_a_withdrawal_reverted_late_leads_to_one_message(session: Session) -> None:
    subject = treated(session, date(2026, 2, 26), NOW)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved away"), now=NOW)
    now = NOW + timedelta(days=95)
    withdrawals.revert(session, COORDINATOR, subject, reason="back in town", now=now)
    at_once = [each for each in plan_preview.current_plan(session, subject.id, now=now).messages if each.at is None]
    assert [(each.event, each.template) for each in at_once] == [("3 months", "invitation")]


def test_a_withdrawal_of_data_removes_answers_from_figures_and_files_until_it_is_reverted(
    client: FlaskClient, session: Session, settings: Settings, clock: Clock
) -> None:
    sign_in(client, add_account(session, "researcher"))
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 10))
    answer_visit(session, visit_of(session, subject, "baseline"), clock.now, {})
    expected = select(func.max(Aggregate.n_expected))

    def seen(now: datetime) -> tuple[bool, bool, int | None]:
        session.commit()
        aggregates.refresh(session, now=now)
        session.commit()
        with client.get("/results/wide.csv") as download:
            is_in_file = subject.study_code in download.get_data(as_text=True)
        return (
            is_in_file,
            "withdrew and does not want" in client.get("/results").text,
            session.scalar(expected),
        )

    assert seen(NOW) == (True, False, 1)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved away"), now=NOW)
    assert seen(NOW) == (True, False, 1), "what was answered may be used"
    wider = WithdrawalFacts("wrote a letter", WithdrawalScope.DATA)
    withdrawals.change_scope(session, COORDINATOR, subject, wider, now=NOW)
    assert seen(NOW) == (False, True, None)
    session.commit()
    printed = CliRunner().invoke(export, ["wide", "--out", "-"])
    assert "Left out, since they withdrew their data or did not agree to their use: 1" in printed.stderr
    withdrawals.revert(session, COORDINATOR, subject, reason="another patient", now=NOW)
    assert seen(NOW) == (True, False, 1)


@pytest.mark.dialects("sqlite")
def test_invalid_changes_of_a_withdrawal_are_rejected(session: Session) -> None:
    subject = add_subject(session, NOW)
    with pytest.raises(InvalidInput, match="has not withdrawn"):
        withdrawals.revert(session, COORDINATOR, subject, reason="x", now=NOW)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved away"), now=NOW)
    with pytest.raises(InvalidInput, match="recorded already"):
        withdrawals.change_scope(session, COORDINATOR, subject, WithdrawalFacts("x", WithdrawalScope.ASKING), now=NOW)
    with pytest.raises(InvalidInput, match="Say why"):
        withdrawals.change_scope(session, COORDINATOR, subject, WithdrawalFacts(" ", WithdrawalScope.DATA), now=NOW)


def test_a_coordinator_records_changes_and_reverts_a_withdrawal(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = treated(session, date(2026, 2, 26), clock.now)
    page = f"/subjects/{subject.id}/withdraw"
    shown = submit(client, page, {"scope": "asking", "reason": "moved away"})
    assert shown.text.count(">Dropped</span>") == 3 + 9, "three visits with one message and twice four"
    assert save(client, page, {"scope": "asking", "reason": "moved away"}).status_code == 303
    assert "answers so far may be used for research" in client.get(f"/subjects/{subject.id}").text
    assert save(client, page, {"scope": "data", "reason": "wrote a letter"}).status_code == 303
    session.expire_all()
    assert (subject.withdrawn_scope, subject.withdrawn_reason) == ("data", "moved away")
    back = save(client, f"{page}/revert", {"revert-reason": "wrong patient"}, page=page)
    assert back.status_code == 303
    session.expire_all()
    assert subject.withdrawn_at is None
    assert visit_of(session, subject, "3-months").voided_at is None
