"""Fixtures of tests of corrected answers: a coordinator who is signed in, and a subject whose baseline was answered."""

from collections.abc import Callable
from datetime import date

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.models.account import Account
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.support.course_builder import add_subject
from tests.support.history_builder import NRS, PI, answer_visit, visit_of
from tests.support.staff_browser import add_account, sign_in, sign_in_colleague

FIRST_ON = date(2026, 3, 9)


@pytest.fixture
def coordinator(client: FlaskClient, session: Session) -> Account:
    """The coordinator who is signed in."""
    account = add_account(session, "coordinator")
    sign_in(client, account)
    return account


@pytest.fixture
def colleague(another_client: Callable[[], FlaskClient], session: Session) -> FlaskClient:
    """The browser of another coordinator of the clinic."""
    return sign_in_colleague(another_client(), session)


@pytest.fixture
def subject(session: Session, clock: Clock, coordinator: Account) -> Subject:
    """A subject whose baseline is open and was answered: 4 throughout pain interference, pain 8 of 10, else 2."""
    subject = add_subject(session, clock.now, planned_start_on=FIRST_ON)
    answer_visit(session, visit_of(session, subject, "baseline"), clock.now, {PI: 4, NRS: [8]})
    session.commit()
    return subject
