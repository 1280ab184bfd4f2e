"""`pro-tracker simulate`: synthetic patients who use the real services."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from pro_tracker import clock, db
from pro_tracker.domain import scoring
from pro_tracker.domain.channels import DEFAULT_CHANNELS, Channel
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.course import Infusion
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.missed_infusion import MissedInfusion
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.simulation.answers import AnswerGenerator, draw_traits
from pro_tracker.simulation.outages import draw_outages
from pro_tracker.simulation.parameters import read_parameters
from pro_tracker.simulation.runner import SimulationSettings, run_simulation
from tests.support import example_instrument
from tests.support.consent_fixtures import with_consent_form
from tests.support.patient_browser import add_patient
from tests.support.staff_browser import add_site

UNTIL = datetime(2026, 11, 1, 12, tzinfo=UTC)
SUBJECTS = 8

pytestmark = [pytest.mark.slow, pytest.mark.dialects("sqlite")]


def _simulate(session: Session, seed: int, subjects: int = SUBJECTS) -> None:
    add_site(session, "north")
    add_site(session, "south", time_zone="America/Chicago")
    session.commit()
    settings = SimulationSettings("ketamine-5day", subjects, seed, UNTIL)
    run_simulation(session, settings, progress=lambda _share, _now: None)


def _scores(session: Session) -> list[Row[tuple[str, str, str, float | None, datetime]]]:
    of_visit = QuestionnaireResponse.visit_id == Visit.id
    columns = (Subject.study_code, Visit.event_code, Score.scale_code, Score.raw_score, Visit.completed_at)
    rows = select(*columns).select_from(Subject).join(Visit).join(QuestionnaireResponse, of_visit).join(Score)
    return list(session.execute(rows.order_by(Subject.study_code, Score.id)).all())  # type: ignore[arg-type]


def test_a_simulation_covers_planning_sending_answering_and_scoring(session: Session) -> None:
    _simulate(session, seed=7)
    assert session.scalar(select(func.count()).select_from(Subject)) == SUBJECTS
    assert (session.scalar(select(func.count()).select_from(Infusion)) or 0) > 2 * SUBJECTS
    assert len(_scores(session)) > SUBJECTS
    sent = session.scalar(select(func.count()).where(Message.state == "sent"))
    assert sent == session.scalar(select(func.count()).where(Attempt.outcome == "accepted"))
    too_late = select(func.count()).where(Message.sent_at > Visit.completed_at, Message.visit_id == Visit.id)
    assert session.scalar(too_late) == 0
    assert session.scalar(select(func.count()).where(Contact.channel == Channel.HELPER)) == 2
    missed = session.execute(select(MissedInfusion.kind, MissedInfusion.void_reason).order_by(MissedInfusion.id))
    assert {("did-not-come", "another patient")} < {tuple(row) for row in missed}
    assert audit.first_invalid_event(session) is None
    assert clock.now() > UNTIL  # the real clock is back in use


def test_patients_of_a_protocol_with_a_consent_form_agree_and_answer(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with with_consent_form(tmp_path, monkeypatch):
        _simulate(session, seed=7, subjects=2)
    assert set(session.scalars(select(ConsentDecision.outcome))) == {"given"}
    assert len(_scores(session)) > 2


def test_an_instrument_without_parameters_is_answered_too() -> None:
    """A clinic can simulate its own protocol."""
    parameters = read_parameters("ketamine-5day")
    random = Random(1)
    instrument = example_instrument.instrument()
    generator = AnswerGenerator(parameters, draw_traits(parameters, random), random)
    answers = generator.draw_answers(instrument, "baseline")
    assert list(answers) == [item.link_id for item in instrument.items]
    answered = {link_id: value for link_id, value in answers.items() if value is not None}
    scoring.validate_answers(instrument, answered)


def test_equal_seeds_give_equal_data_and_different_seeds_do_not(
    session: Session, migrated_sqlite: Path, tmp_path: Path
) -> None:
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


def test_equal_seeds_draw_equal_outages_and_outages_of_a_provider_do_not_overlap() -> None:
    faults = read_parameters("ketamine-5day").faults
    assert faults is not None
    drawn = [draw_outages(faults, UNTIL, seed) for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
    for channel in DEFAULT_CHANNELS:
        outages = [outage for outage in drawn[0] if outage.channel == channel]
        assert len(outages) == faults.outages
        assert all(first.until_at <= second.from_at for first, second in pairwise(outages))
        assert {outage.kind for outage in outages} == {"refusing", "silent"}


def test_a_database_with_real_patients_is_rejected(session: Session) -> None:
    add_patient(session, UNTIL)
    with pytest.raises(InvalidInput, match="empty database"):
        _simulate(session, seed=3)


def test_an_unknown_protocol_is_rejected_with_a_list_of_the_known_ones() -> None:
    message = "no simulation parameters for another-protocol. Available: demo-ketamine-5day, ketamine-5day"
    with pytest.raises(InvalidInput, match=message):
        read_parameters("another-protocol")
