"""Connections to PostgreSQL: what is left of one that the server ended while nobody used it."""

import pytest
from sqlalchemy import Engine, func, select

from pro_tracker import db

pytestmark = pytest.mark.dialects("postgresql")


def test_a_connection_that_the_server_ended_is_replaced_before_it_is_used(database):
    service, administrator = db.make_engine(database), db.make_engine(database)
    before = _process(service)
    with administrator.connect() as connection:
        assert connection.scalar(select(func.pg_terminate_backend(before, 5000)))  # waits until it is gone
    after = _process(service)
    assert after != before
    assert _process(service) == after  # and this one is kept
    service.dispose()
    administrator.dispose()


def _process(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.pg_backend_pid())) or 0
