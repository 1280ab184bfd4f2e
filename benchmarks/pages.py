"""Measures pages: patient pages in bytes, a subject's page in statements and CPU. Run: python -m benchmarks pages

On PostgreSQL, over HTTP from one gunicorn process; statements are counted in this process.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from flask import Flask
from sqlalchemy import event

from benchmarks.browser import Browser, Served
from benchmarks.measure import PER_ROUND, Steps, machine, measure, show
from benchmarks.submit import give_birth_date, new_visit, pid_of, service
from pro_tracker import db
from tests.support.history_builder import answer_visit, treated, visit_of
from tests.support.patient_browser import N_ITEMS
from tests.support.staff_browser import PASSWORD, add_account, sign_in

FIRST_INFUSION_ON = date(2025, 3, 3)
ANSWERED = {"baseline": -1, "last-infusion": 5, "3-months": 94, "6-months": 184}  # days from the first infusion
ASSET = re.compile(r'(?:href|src)="(/assets/[^"]+)"')
OF_THE_DRIVER = ("BEGIN", "SET", "SELECT pg_catalog")


def main() -> None:
    """Prints the table."""
    with service() as (app, server, full):
        print(f"Pages: bytes, statements, CPU of gunicorn and PostgreSQL\n  {machine()}")
        weights(full)
        subject_page(app, [pid_of(server), full.pid], full)


def weights(full: Served) -> None:
    """Prints the bytes of the patient's pages: the first with an empty cache, the others with cached assets."""
    browser, cached = Browser(full), set[str]()
    browser.open(f"/v/{new_visit('ketamine-5day').token}")
    _show("first patient page, styles and scripts (at most 60)", _weight(browser, cached))
    give_birth_date(browser)
    _show("  then the first question (at most 15)", _weight(browser, cached))
    questions = []
    for _ in range(N_ITEMS):
        browser.submit({"answer": "2"})
        questions.append(_weight(browser, cached))
    _show("  the heaviest of the other questions and the review", max(questions))
    browser.submit({})
    _show("  thank-you", _weight(browser, cached))


def _weight(browser: Browser, cached: set[str]) -> int:
    """Returns the bytes since the last call: pages and redirects as sent, and assets not in `cached`, compressed."""
    new = set(ASSET.findall(browser.page)) - cached
    cached |= new
    received, browser.received = browser.received, 0
    return received + sum(_packed(browser.served, path) for path in new)


def _packed(served: Served, path: str) -> int:
    served.connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    response = served.connection.getresponse()
    return len(response.read()) + len(bytes(response.headers))


def _show(name: str, weight: int) -> None:
    print(f"  {name:<58} {weight / 1000:8.1f} KB")


def subject_page(app: Flask, servers: Sequence[int], full: Served) -> None:
    """Prints statements and CPU of a subject's page after nine months: one course, all visits answered."""
    path = f"/subjects/{_history()}"
    print(f"  {'subject page: statements (at most 20)':<58} {_statements(app, path):>5}")
    browser = Browser(full)
    browser.open("/sign-in")
    browser.submit({"email": "clinician@clinic.example", "password": PASSWORD})
    show("subject page: CPU", measure(servers, _opened(browser, path)))


def _history() -> str:
    with db.Session() as session:
        add_account(session, "clinician")
        subject = treated(session, FIRST_INFUSION_ON, _noon(5), protocol="ketamine-5day")
        for event_code, day in ANSWERED.items():
            answer_visit(session, visit_of(session, subject, event_code), _noon(day), {})
        session.commit()
        return str(subject.id)


def _noon(day: int) -> datetime:
    """Returns noon in New York, `day` days after the first infusion."""
    return datetime.combine(FIRST_INFUSION_ON + timedelta(days=day), time(17), UTC)


def _statements(app: Flask, path: str) -> int:
    asked: list[str] = []
    engine = db.Session.kw["bind"]
    client = app.test_client()
    sign_in(client, "clinician@clinic.example")
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement))
    if client.get(path).status_code != 200:
        raise RuntimeError("the subject page was refused")
    return sum(not statement.startswith(OF_THE_DRIVER) for statement in asked)


def _opened(browser: Browser, path: str) -> Steps:
    while True:
        yield
        for _ in range(PER_ROUND):
            browser.open(path)
            yield
            if browser.path != path:
                raise RuntimeError(f"the subject page led to {browser.path}")
