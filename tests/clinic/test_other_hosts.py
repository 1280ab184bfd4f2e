"""Addresses that are not ours: another host name, and numbers in a path that no row can have."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.web.security import HEADERS
from tests.support.staff_browser import add_account, sign_in


@pytest.mark.parametrize("host", ["evil.example", "pro-tracker.test.evil.example", "a b", "xn--\xff", ""])
@pytest.mark.parametrize("path", ["/healthz", "/subjects", "/v/token", "/no-such-page"])
@pytest.mark.dialects("sqlite")
def test_a_request_for_another_host_gets_our_page_and_one_log_line(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture, host: str, path: str
) -> None:
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == 400
    assert "This is not our address" in answer.text
    assert "https://pro-tracker.test" in answer.text
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert [record.getMessage() for record in caplog.records] == ["request.refused reason=other-host"]
    assert caplog.records[0].exc_info is None


@pytest.mark.parametrize("number", ["9223372036854775807", "9223372036854775808", "9" * 20, "9" * 5000])
def test_a_number_that_no_row_has_is_a_page_that_does_not_exist(
    client: FlaskClient, session: Session, number: str
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    answer = client.get(f"/calls/{number}")
    assert answer.status_code == 404
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_a_path_with_nul_is_a_page_that_does_not_exist(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "coordinator"))
    assert client.get("/fhir/Patient/north%00").status_code == 404
    assert client.get("/instruments/pcs%00").status_code == 404
