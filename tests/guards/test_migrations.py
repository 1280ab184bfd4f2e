"""The migrations make exactly the tables of the models, on both databases, and can be reverted."""

import re
from datetime import date

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Date, String, bindparam, inspect, select, text

import pro_tracker.models  # noqa: F401  registers every table
from pro_tracker import clock, db, migrate
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.call_codes import CallOutcome
from pro_tracker.domain.infusion_codes import Asking
from pro_tracker.domain.response_codes import AnswerState
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.keyring import KeyRing
from pro_tracker.models.assessment import Assessment
from pro_tracker.models.call import Call
from pro_tracker.models.course import AdverseEvent, Course, Infusion
from pro_tracker.models.draft_answer import DraftAnswer
from pro_tracker.models.link import Link
from pro_tracker.models.message import Message
from pro_tracker.models.protocol_event import ProtocolEvent, ProtocolScale
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services import audit
from pro_tracker.services.answering import links
from pro_tracker.services.audit import Actor
from pro_tracker.services.protocols import releases
from tests.conftest import FIELD_KEYS
from tests.faults.due_messages import add_due_messages

both = pytest.mark.parametrize("empty_database", ["sqlite", "postgresql"], indirect=True)


@both
def test_migrations_make_the_tables_of_the_models(empty_database):
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, db.Base.metadata)
    engine.dispose()

    assert differences == []


@both
def test_the_tables_check_for_the_codes_that_the_models_know(empty_database):
    """Alembic does not compare CHECK constraints, but a new code of an enum needs a migration."""
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    found = inspect(engine)
    migrated = {
        (table, check["name"]): _codes(check["sqltext"])
        for table in found.get_table_names()
        for check in found.get_check_constraints(table)
    }
    engine.dispose()

    modelled = {
        (table.name, check.name): _codes(str(check.sqltext))
        for table in db.Base.metadata.sorted_tables
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }
    assert "planned" in modelled["message", "ck_message_state"]
    assert migrated == modelled


@both
def test_migrations_go_up_down_and_up_again(empty_database):
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    made = _tables(engine)

    migrate.downgrade(engine, "base")
    left = _tables(engine)
    migrate.upgrade(engine)
    made_again = _tables(engine)
    engine.dispose()

    assert left == {"alembic_version": ["version_num"]}
    assert made_again == made


@both
def test_each_migration_can_be_reverted_alone(empty_database):
    engine = db.make_engine(empty_database)
    revisions = list(ScriptDirectory.from_config(migrate.config()).walk_revisions())

    for script in reversed(revisions):
        migrate.upgrade(engine, script.revision)
        before = _tables(engine)
        migrate.downgrade(engine, "-1")
        migrate.upgrade(engine, script.revision)
        assert _tables(engine) == before
    engine.dispose()


@both
def test_migrating_a_database_in_use_keeps_its_rows(empty_database):
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    db.connect(empty_database, KeyRing.parse(FIELD_KEYS))
    add_due_messages(3)
    _link_each_message()

    migrate.downgrade(engine, "0008")
    migrate.upgrade(engine)
    engine.dispose()

    with db.Session() as session:
        rows = select(Link.id).join(Message, Message.id == Link.message_id)
        assert len(session.scalars(rows).all()) == 3


@both
def test_sites_and_visits_of_an_earlier_release_get_the_protocol_of_their_courses(empty_database):
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    db.connect(empty_database, KeyRing.parse(FIELD_KEYS))
    add_due_messages(1)

    migrate.downgrade(engine, "0029")
    migrate.upgrade(engine)

    with engine.connect() as connection:
        visit = connection.execute(text("SELECT protocol_code, protocol_version FROM visit")).one()
        course = connection.execute(text("SELECT protocol_code, protocol_version FROM course")).one()
        defaults = connection.execute(text("SELECT protocol_code FROM site")).scalars().all()
    engine.dispose()
    assert visit == course
    assert defaults == [course.protocol_code]


@both
def test_answers_in_progress_keep_their_values_and_language_when_they_become_rows(empty_database):
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    db.connect(empty_database, KeyRing.parse(FIELD_KEYS))
    add_due_messages(1)
    given = {"PAININ9": (AnswerState.ANSWERED, 4), "PAININ22": (AnswerState.DECLINED, None)}
    with db.Session() as session:
        _add_draft(session, given)
        session.commit()

    migrate.downgrade(engine, "0025")
    with engine.connect() as connection:
        (former,) = connection.execute(text("SELECT answers FROM visit_draft").columns(answers=db.Json)).scalars()
    migrate.upgrade(engine)

    with db.Session() as session:
        rows = session.scalars(select(DraftAnswer)).all()
        assert {row.link_id: (row.state, row.value) for row in rows} == given
        assert {row.language for row in rows} == {"en"}
        assert session.scalars(select(VisitDraft.language)).one() == "en"
    engine.dispose()
    assert former == {"pain": {"PAININ9": 4, "PAININ22": None}}


@both
def test_an_earlier_reason_died_records_no_death_and_an_older_release_reads_a_death_as_withdrawal(empty_database):
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    db.connect(empty_database, KeyRing.parse(FIELD_KEYS))
    add_due_messages(2)
    with db.Session() as session:
        dead, reported = session.scalars(select(Subject).order_by(Subject.study_code)).all()
        dead.death_recorded_at, dead.death_reason, dead.died_on_precision = (
            dead.created_at,
            "letter",
            DeathDatePrecision.UNKNOWN,
        )
        visit = session.scalars(select(Visit).where(Visit.subject_id == reported.id)).one()
        visit.voided_at, visit.void_reason = visit.opens_at, UnansweredReason.DIED
        call = Call(subject_id=dead.id, visit_id=visit.id, reason="alert", opened_at=visit.opens_at)
        call.closed_at, call.outcome = visit.opens_at, CallOutcome.DIED
        session.add(call)
        session.commit()

    migrate.downgrade(engine, "0029")
    with engine.connect() as connection:
        withdrawn = connection.execute(text("SELECT withdrawn_reason FROM subject ORDER BY study_code")).scalars().all()
    migrate.upgrade(engine)

    with db.Session() as session:
        recorded = session.scalars(select(Subject.death_recorded_at)).all()
        reasons = session.scalars(select(Visit.void_reason).where(Visit.void_reason.is_not(None))).all()
    engine.dispose()
    assert withdrawn == ["letter", None]
    assert (recorded, reasons) == ([None, None], ["died"])


def _add_draft(session, given):
    visit = session.scalars(select(Visit)).one()
    session.add(VisitDraft(visit_id=visit.id, language="en", saved_at=visit.opens_at))
    session.flush()
    for link_id, (state, value) in given.items():
        known = {"visit_id": visit.id, "instrument_code": "pain", "link_id": link_id, "given_at": visit.opens_at}
        session.add(DraftAnswer(**known, state=state, value=value, language="en"))


@both
def test_a_database_knows_whether_it_is_current(empty_database):
    engine = db.make_engine(empty_database)
    with engine.connect() as connection:
        assert not migrate.is_current(connection)

    migrate.upgrade(engine)

    with engine.connect() as connection:
        assert migrate.is_current(connection)
    engine.dispose()


def _link_each_message():
    with db.Session() as session:
        for message in session.scalars(select(Message)):
            links.issue(session, message.visit_id, now=message.created_at, message_id=message.id)
        session.commit()


def _codes(condition):
    """Returns the quoted words of a CHECK, however the database spells it."""
    return sorted(re.findall(r"'([^']*)'", condition))


def _tables(engine):
    """Returns table -> its columns, as the database reports them."""
    found = inspect(engine)
    return {name: sorted(column["name"] for column in found.get_columns(name)) for name in found.get_table_names()}


@both
def test_links_that_wrong_birth_dates_ended_are_known_after_the_migration(empty_database):
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    db.connect(empty_database, KeyRing.parse(FIELD_KEYS))
    add_due_messages(3)
    _link_each_message()
    with db.Session() as session:
        by_failures, by_staff, usable = session.scalars(select(Link).order_by(Link.id))
        _refuse_birth_date(session, by_failures)
        _refuse_birth_date(session, usable)
        by_failures.revoked_at = by_staff.revoked_at = by_failures.created_at
        session.commit()

    migrate.downgrade(engine, "0029")
    migrate.upgrade(engine)

    with db.Session() as session:
        known = session.scalars(select(Link.revoked_by_failures).order_by(Link.id)).all()
    engine.dispose()
    assert known == [True, False, False]


def _refuse_birth_date(session, link):
    patient = Actor(ActorKind.PATIENT, str(link.id))
    visit = session.get_one(Visit, link.visit_id)
    audit.record(session, patient, "identity.refuse", now=link.created_at, subject_id=visit.subject_id)


@both
def test_every_course_gets_the_site_of_its_subject(empty_database):
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    db.connect(empty_database, KeyRing.parse(FIELD_KEYS))
    add_due_messages(2)

    migrate.downgrade(engine, "0030")
    migrate.upgrade(engine)

    with db.Session() as session:
        found = session.execute(select(Course.site_id, Subject.site_id).join(Subject, Subject.id == Course.subject_id))
        sites = [tuple(row) for row in found]
    engine.dispose()
    assert len(sites) == 2
    assert all(course == subject for course, subject in sites)


@both
def test_protocols_that_were_released_before_get_their_events_and_scales_as_rows(empty_database):
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    db.connect(empty_database, KeyRing.parse(FIELD_KEYS))
    with db.Session() as session:
        releases.release(session, now=clock.now())
        session.commit()
    released = _protocol_rows(engine)

    migrate.downgrade(engine, "0038")
    migrate.upgrade(engine)

    assert released["protocol_event"]
    assert released["protocol_scale"]
    assert _protocol_rows(engine) == released
    engine.dispose()


def _protocol_rows(engine):
    """Returns table -> its rows, of events and scales of protocols."""
    found = {}
    for model in (ProtocolEvent, ProtocolScale):
        table = model.__table__
        with engine.connect() as connection:
            found[model.__tablename__] = set(map(tuple, connection.execute(select(*table.columns))))
    return found


@both
def test_a_database_at_the_newest_migration_has_the_view_of_the_model_and_an_older_one_has_none(empty_database):
    """So that every migration can alter every table: on SQLite it copies them, which a view of them forbids."""
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    found = [column["name"] for column in inspect(engine).get_columns("assessment")]
    migrate.upgrade(engine)  # once more, as each release does
    views = inspect(engine).get_view_names()
    migrate.downgrade(engine, "-1")
    left = inspect(engine).get_view_names()
    engine.dispose()
    assert found == [column.name for column in Assessment.__table__.columns]
    assert (views, left) == (["assessment"], [])


@both
def test_what_was_no_by_default_becomes_not_recorded_and_amounts_become_rows(empty_database):
    """An unticked box of the former form was no answer, and an infusion without an event no evidence of asking."""
    engine = db.make_engine(empty_database)
    migrate.upgrade(engine)
    db.connect(empty_database, KeyRing.parse(FIELD_KEYS))
    add_due_messages(1)
    migrate.downgrade(engine, "0038")
    _add_former_infusions(engine)

    migrate.upgrade(engine)

    with db.Session() as session:
        infusions = session.scalars(select(Infusion).order_by(Infusion.id)).all()
        amounts = [infusion.ondansetron_mg for infusion in infusions]
        askings = {infusion.asking for infusion in infusions}
        events = session.scalars(select(AdverseEvent).order_by(AdverseEvent.id)).all()
        found = [(event.term, event.emergency_response, event.found_on.day, event.void_reason) for event in events]
        courses = {event.course_id for event in events}
    migrate.downgrade(engine, "0038")
    with engine.connect() as connection:
        former = connection.execute(text("SELECT ondansetron_mg FROM infusion ORDER BY id")).scalars().all()
        emergencies = connection.execute(text("SELECT emergency_response FROM adverse_event ORDER BY id")).scalars()
        kept = [bool(each) for each in emergencies]
    engine.dispose()
    assert amounts == [4, 0, None]
    assert askings == {Asking.UNKNOWN}
    assert found == [("nausea", None, 2, None), ("fainting", True, 3, None), ("itch", None, 4, "wrong day")]
    assert courses == {infusions[0].course_id}
    assert [None if amount is None else float(amount) for amount in former] == [4, 0, None]
    assert kept == [False, True, False]


def _add_former_infusions(engine):
    """Three infusions as an earlier release stored them: with ondansetron, with 0 mg, and a removed one without."""
    add = text(
        "INSERT INTO infusion (course_id, given_on, dose_mg_per_kg, weight_kg, minutes, status, ondansetron_mg,"
        " recorded_at, voided_at, void_reason) SELECT id, :on, 0.5, 70, 40, 'completed', :mg, created_at,"
        " CASE WHEN :reason IS NULL THEN NULL ELSE created_at END, :reason FROM course"
    ).bindparams(bindparam("on", type_=Date), bindparam("reason", type_=String))
    event = text(
        "INSERT INTO adverse_event (infusion_id, term, ctcae_grade, emergency_response, recorded_at)"
        " SELECT id, :term, 1, :emergency, recorded_at FROM infusion WHERE given_on = :on"
    ).bindparams(bindparam("on", type_=Date))
    rows = [
        (2, 4, None, "nausea", False),
        (3, 0, None, "fainting", True),
        (4, None, "wrong day", "itch", False),
    ]
    with engine.begin() as connection:
        for day, amount, reason, term, emergency in rows:
            on = date(2026, 3, day)
            connection.execute(add, {"on": on, "mg": amount, "reason": reason})
            connection.execute(event, {"term": term, "emergency": emergency, "on": on})
