"""The migrations make exactly the tables of the models, on both databases, and can be reverted."""

import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, inspect, select

import pro_tracker.models  # noqa: F401  registers every table
from pro_tracker import db, migrate
from pro_tracker.keyring import KeyRing
from pro_tracker.models.link import Link
from pro_tracker.models.message import Message
from pro_tracker.services.answering import links
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
