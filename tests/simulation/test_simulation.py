"""`pro-tracker simulate`: made-up people who live through the real services."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from pro_tracker import clock, db
from pro_tracker.domain import scoring
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.course import Infusion
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.simulation import answers, figures
from pro_tracker.simulation.figures import read
from pro_tracker.simulation.outages import draw_outages
from pro_tracker.simulation.run import Setting, run
from tests.support import example_instrument
from tests.support.patient_browser import add_patient
from tests.support.staff_browser import add_site

UNTIL = datetime(2026, 11, 1, 12, tzinfo=UTC)
SUBJECTS = 8

pytestmark = [pytest.mark.slow, pytest.mark.dialects("sqlite")]


def _simulate(session: Session, seed: int, subjects: int = SUBJECTS) -> None:
    add_site(session, "north")
    add_site(session, "south", time_zone="America/Chicago")
    session.commit()
    run(session, Setting("ketamine-5day", subjects, seed, UNTIL), progress=lambda _share, _now: None)


def _scores(session: Session) -> list[Row[tuple[str, str, str, float | None, datetime]]]:
    of_visit = QuestionnaireResponse.visit_id == Visit.id
    columns = (Subject.study_code, Visit.event_code, Score.scale_code, Score.raw_score, Visit.completed_at)
    rows = select(*columns).select_from(Subject).join(Visit).join(QuestionnaireResponse, of_visit).join(Score)
    return list(session.execute(rows.order_by(Subject.study_code, Score.id)).all())  # type: ignore[arg-type]


def test_a_cohort_lives_through_planning_sending_answering_and_scoring(session: Session) -> None:
    _simulate(session, seed=3)
    assert session.scalar(select(func.count()).select_from(Subject)) == SUBJECTS
    assert (session.scalar(select(func.count()).select_from(Infusion)) or 0) > 2 * SUBJECTS
    assert len(_scores(session)) > SUBJECTS
    sent = session.scalar(select(func.count()).where(Message.state == "sent"))
    assert sent == session.scalar(select(func.count()).where(Attempt.outcome == "accepted"))
    too_late = select(func.count()).where(Message.sent_at > Visit.completed_at, Message.visit_id == Visit.id)
    assert session.scalar(too_late) == 0
    assert audit.first_invalid_event(session) is None
    assert clock.now() > UNTIL  # the real clock tells the time again


def test_an_instrument_without_figures_is_answered_too() -> None:
    """A clinic may try its own protocol on made-up people."""
    figures, random, instrument = read("ketamine-5day"), Random(1), example_instrument.instrument()
    given = answers.answer(instrument, "baseline", answers.draw_traits(figures, random), figures, random)
    assert list(given) == [item.link_id for item in instrument.items]
    scoring.validate_answers(instrument, {link_id: value for link_id, value in given.items() if value is not None})


def test_equal_seeds_give_equal_data_and_others_do_not(session: Session, migrated_sqlite: Path, tmp_path: Path) -> None:
    _simulate(session, seed=3, subjects=3)
    first = _scores(session)
    assert first
    for seed, equal in ((3, True), (4, False)):
        copy = tmp_path / f"again-{seed}.sqlite3"
        copy.write_bytes(migrated_sqlite.read_bytes())
        db.connect(f"sqlite:///{copy}", db.key_ring())
        with db.Session() as again:
            _simulate(again, seed, subjects=3)
            assert (_scores(again) == first) is equal


def test_equal_seeds_draw_equal_outages_and_a_provider_has_one_at_a_time() -> None:
    troubles = read("ketamine-5day").troubles
    assert troubles is not None
    drawn = [draw_outages(troubles, UNTIL, seed) for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
    for channel in Channel:
        outages = [each for each in drawn[0] if each.channel == channel]
        assert len(outages) == troubles.outages
        assert all(one.until_at <= next_one.from_at for one, next_one in pairwise(outages))
        assert {each.kind for each in outages} == {"refusing", "silent"}


def test_nobody_is_simulated_beside_real_people(session: Session) -> None:
    add_patient(session, UNTIL)
    with pytest.raises(InvalidInput, match="empty database"):
        _simulate(session, seed=3)


def test_a_protocol_without_figures_is_named_with_those_that_have_some() -> None:
    with pytest.raises(InvalidInput, match="no figures to simulate another-protocol by; there are for ketamine-5day"):
        figures.read("another-protocol")
