"""Staff preview messages as patients get them; the frame of a mail can do nothing."""

import html
import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import Role
from pro_tracker.web.security import FRAMED_POLICY
from tests.support.staff_browser import add_account, sign_in

ONE = pytest.mark.dialects("sqlite")
FRAME = re.compile(r'<iframe class="preview-mail" sandbox title="[^"]+" src="([^"]+)"')


@pytest.fixture
def staff(client: FlaskClient, session: Session) -> FlaskClient:
    sign_in(client, add_account(session, Role.COORDINATOR))
    return client


@ONE
@pytest.mark.parametrize(
    ("language", "subject", "stop"),
    [
        ("en", "North Clinic: a reminder of your questions", "To stop these texts, reply STOP."),
        ("es", "North Clinic: recordatorio de sus preguntas", "Para no recibir mensajes, responda STOP o ALTO."),
    ],
)
def test_each_message_of_a_protocol_is_shown_in_each_language(
    staff: FlaskClient, language: str, subject: str, stop: str
) -> None:
    page = staff.get(f"/messages?protocol=ketamine-5day&language={language}")
    assert subject in page.text
    assert "North Clinic &lt;no-reply@" in page.text
    assert stop in page.text
    assert {"1 segment,", "2 segments,"} == set(re.findall(r"\d segments?,", page.text))
    frames = [html.unescape(address) for address in FRAME.findall(page.text)]
    assert len(frames) >= 5, "invitation, reminder, last reminder, snooze, fresh link"
    for address in frames:
        framed = staff.get(address)
        assert (framed.status_code, framed.headers["Content-Security-Policy"]) == (200, FRAMED_POLICY)
        assert "North Clinic" in framed.text
    assert "/v/xxxxxxxxxxxxxxxxxxxxxx" in staff.get(frames[0]).text


@ONE
def test_a_message_that_does_not_exist_is_not_found(staff: FlaskClient) -> None:
    for path in ("none/en/reminder", "ketamine-5day/fr/reminder", "ketamine-5day/en/none"):
        assert staff.get(f"/messages/{path}").status_code == 404
    assert staff.get("/messages?protocol=none").status_code == 404


@ONE
@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.CLINICIAN])
def test_other_roles_are_not_offered_it(client: FlaskClient, session: Session, role: Role) -> None:
    sign_in(client, add_account(session, role))
    assert "/messages" not in client.get("/instruments").text
    assert client.get("/messages").status_code == 403
