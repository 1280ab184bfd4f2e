"""Connections to PostgreSQL that the server closed while they were idle."""

import pytest
from sqlalchemy import Engine, func, select

from pro_tracker import db

pytestmark = pytest.mark.dialects("postgresql")


def test_a_connection_closed_by_the_server_is_replaced_before_its_next_use(database):
    service, administrator = db.make_engine(database), db.make_engine(database)
    before = _process(service)
    with administrator.connect() as connection:
        assert connection.scalar(select(func.pg_terminate_backend(before, 5000)))  # waits until it has ended
    after = _process(service)
    assert after != before
    assert _process(service) == after  # a working connection is kept
    service.dispose()
    administrator.dispose()


def _process(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.pg_backend_pid())) or 0
