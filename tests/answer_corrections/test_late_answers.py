"""Answers that arrived late are shown to staff, who let them count or leave the answers as they were sent."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.models.account import Account
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.subject import Subject
from pro_tracker.services.wording import text_packs
from tests.conftest import Clock
from tests.support.answer_corrections import answers_of, answers_url, current, raw_scores
from tests.support.history_builder import NRS, PI, visit_of
from tests.support.staff_browser import confirm, save, submit

APPLY = {"outcome": "applied", "reason": "given before it was sent"}


@pytest.fixture
def late(session: Session, clock: Clock, subject: Subject) -> LateAnswer:
    """An answer of 5 to the pain intensity, given a minute before the answers were sent, received ten minutes later."""
    sent = current(session, subject, NRS)
    found = LateAnswer(
        visit_id=visit_of(session, subject, "baseline").id,
        instrument_code=NRS,
        link_id=next(iter(sent.answers)),
        state="answered",
        value=5,
        language="en",
        text_pack_version=sent.text_pack_version,
        given_at=clock.now - timedelta(minutes=1),
        device="access-1",
        sequence=9,
        received_at=clock.now + timedelta(minutes=10),
    )
    session.add(found)
    session.commit()
    clock.advance(minutes=15)
    return found


def page_of(session: Session, subject: Subject, late: LateAnswer) -> str:
    return answers_url(session, subject, f"late/{late.id}")


def test_a_late_answer_is_shown_with_both_times(
    client: FlaskClient, session: Session, subject: Subject, late: LateAnswer
) -> None:
    page = client.get(answers_url(session, subject)).text
    for text in ("Answers that arrived late", "9:59", "10:10", "Decide"):
        assert text in page


def test_a_late_answer_that_staff_apply_is_an_amendment(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account, subject: Subject, late: LateAnswer
) -> None:
    preview = submit(client, page_of(session, subject, late), APPLY)
    assert "Nothing is saved yet." in preview.text
    assert confirm(client, preview).status_code == 303
    after = current(session, subject, NRS)
    assert (after.status, after.edit_source, after.edit_reason) == ("amended", "late-answer", APPLY["reason"])
    assert (answers_of(after), raw_scores(session, after)) == ([5], [5])
    session.refresh(late)
    assert (late.outcome, late.decided_at, late.decided_by_id) == ("applied", clock.now, coordinator.id)


def test_a_late_answer_can_be_left_so_that_the_answers_stay_as_sent(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account, subject: Subject, late: LateAnswer
) -> None:
    assert save(client, page_of(session, subject, late), {"outcome": "kept-as-sent"}).status_code == 303
    assert answers_of(current(session, subject, NRS)) == [8]
    session.refresh(late)
    assert (late.outcome, late.decided_by_id) == ("kept-as-sent", coordinator.id)
    assert "Left as sent" in client.get(answers_url(session, subject)).text
    again = save(client, page_of(session, subject, late), APPLY, page="/subjects")
    assert again.status_code == 422
    assert "Another member of staff decided about this answer before." in again.text


def test_a_late_answer_in_another_wording_is_stored_with_it(
    client: FlaskClient, session: Session, subject: Subject, late: LateAnswer
) -> None:
    pack = text_packs.in_effect(session).pack(NRS, "es")
    late.language, late.text_pack_version = "es", pack.version
    session.commit()
    assert save(client, page_of(session, subject, late), APPLY).status_code == 303
    after = current(session, subject, NRS)
    assert (after.language, after.text_pack_version, after.wordings) == ("es", pack.version, None)
    assert "Spanish" in client.get(answers_url(session, subject)).text


def test_one_late_answer_in_another_language_gives_each_item_its_wording(
    client: FlaskClient, session: Session, subject: Subject, late: LateAnswer
) -> None:
    sent = current(session, subject, PI)
    pack = text_packs.in_effect(session).pack(PI, "es")
    late.instrument_code, late.link_id = PI, min(sent.answers)
    late.language, late.text_pack_version = "es", pack.version
    session.commit()
    assert save(client, page_of(session, subject, late), APPLY).status_code == 303
    after = current(session, subject, PI)
    stored = {link_id: tuple(wording) for link_id, wording in (after.wordings or {}).items()}
    english = ("en", sent.text_pack_version, False)
    assert stored == {**dict.fromkeys(sent.answers, english), late.link_id: ("es", pack.version, False)}
    assert after.language == "en"


def test_a_late_answer_needs_a_reason_to_count(
    client: FlaskClient, session: Session, subject: Subject, late: LateAnswer
) -> None:
    refused = save(client, page_of(session, subject, late), {"outcome": "applied"})
    assert refused.status_code == 422
    assert "Say why the answer is taken over." in refused.text
