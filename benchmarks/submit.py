"""Measures answering: a complete submit against a minimal view that stores a row, one answer, and a whole visit.

CPU of gunicorn and of PostgreSQL with durable commits, over HTTP. Run: python -m benchmarks submit
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, islice, pairwise
from pathlib import Path
from urllib.parse import urlencode

from flask import Flask
from itsdangerous import URLSafeTimedSerializer

from benchmarks import apps
from benchmarks.browser import FORM, Browser, Served, served
from benchmarks.measure import PER_ROUND, ROUNDS, WARM_UP, Steps, compare, machine, measure, show
from config.settings import PREFIX
from pro_tracker import clock, db, migrate
from pro_tracker.models.course import Course
from pro_tracker.services.answering import request_context, responses, visit_context
from pro_tracker.services.protocols import protocol_catalog
from tests.conftest import FIELD_KEYS
from tests.servers.postgresql import PostgresqlServer, make_server
from tests.support.patient_browser import BIRTH_DATE, N_ITEMS, Patient, add_patient

INSTRUMENT = "pcs"  # 13 items, four scales
ONE_INSTRUMENT = "one-instrument"  # a protocol made here, whose only battery is INSTRUMENT
CSRF = "a" * 40
_record_numbers = count(1)


def main() -> None:
    """Prints the table."""
    with service() as (app, server, full), served("bare", server.folder) as bare:
        table(app, [pid_of(server), full.pid, bare.pid], full, bare)


@contextmanager
def service() -> Iterator[tuple[Flask, PostgresqlServer, Served]]:
    """Yields the service in this process and behind gunicorn, and their database server."""
    with ExitStack() as stack:
        server = stack.enter_context(durable_server())
        os.environ.update(environment(server, stack.enter_context(protocol_folder())))
        app = prepare(server)
        yield app, server, stack.enter_context(served("full", server.folder))


def pid_of(server: PostgresqlServer) -> int:
    assert server.process is not None  # it was just started
    return server.process.pid


def table(app: Flask, servers: list[int], full: Served, bare: Served) -> None:
    print(f"Answering: CPU of gunicorn and PostgreSQL, median and middle half of the rounds\n  {machine()}")
    stored, sent = compare(servers, bare_submits(bare), full_submits(app, full))
    show("bare view: INSERT one JSON row, COMMIT", stored)
    show(f"complete submit of one instrument ({INSTRUMENT})", sent)
    show(
        "  times the bare view in the same round (at most 2.5)", [b / a for a, b in zip(stored, sent, strict=True)], "x"
    )
    print(f"  {'  round trips of that submit (at most 6)':<58} {round_trips(app):>5}")
    show("save one answer and show the next question (at most 6)", measure(servers, answered_items(app, full)))
    show(f"whole visit of {N_ITEMS} items, link to thank-you", measure(servers, whole_visits(full), per_round=1))


def bare_submits(bare: Served) -> Steps:
    body = json.dumps({f"PCS{number}": 2 for number in range(1, 14)}).encode()
    while True:
        yield
        for _ in range(PER_ROUND):
            bare.call("POST /", body, kind="application/json")
            yield


def full_submits(app: Flask, full: Served) -> Steps:
    """Yields after each submit. All visits are made first: made between rounds, they would cool this kind's caches."""
    cookies = iter([cookie_of(app, visit_to_send()) for _ in range(PER_ROUND * (WARM_UP + ROUNDS))])
    while True:
        yield
        for cookie in islice(cookies, PER_ROUND):
            full.call("POST /visit/review", form(app), cookie=cookie)
            yield


def answered_items(app: Flask, full: Served) -> Steps:
    while True:
        cookie = cookie_of(app, new_visit("ketamine-5day"))
        yield
        for position in range(1, PER_ROUND + 1):
            full.call(f"POST /visit/item/{position}", form(app, answer="2"), cookie=cookie)
            full.call(f"GET /visit/item/{position + 1}", cookie=cookie)
            yield


def whole_visits(full: Served) -> Steps:
    while True:
        patient = new_visit("ketamine-5day")
        yield
        walk(Browser(full), patient)
        yield


def walk(browser: Browser, patient: Patient) -> None:
    browser.open(f"/v/{patient.token}")
    give_birth_date(browser)
    for _ in range(N_ITEMS):
        browser.submit({"answer": "2"})
    browser.submit({})
    if browser.path != "/visit/sent":
        raise RuntimeError(f"the visit ended at {browser.path}")


def give_birth_date(browser: Browser) -> None:
    browser.submit({f"birth_date-{part}": str(getattr(BIRTH_DATE, part)) for part in ("day", "month", "year")})


def round_trips(app: Flask) -> int:
    """Returns how often a complete submit waits for PostgreSQL, counted in libpq's trace of its connection."""
    cookie = cookie_of(app, visit_to_send())
    engine = db.Session.kw["bind"]
    engine.dispose()  # so that the pool holds one connection, the traced one
    with tempfile.TemporaryFile("w+") as trace:
        pooled = engine.raw_connection()
        pooled.driver_connection.pgconn.trace(trace.fileno())
        pooled.close()
        client = app.test_client(use_cookies=False)
        sent = client.post("/visit/review", data=form(app), content_type=FORM, headers={"Cookie": cookie})
        engine.dispose()
        trace.seek(0)
        sides = list(_sides(trace))
    if sent.status_code != 303:
        raise RuntimeError(f"the submit was answered with {sent.status}")
    return sum(1 for pair in pairwise(sides) if pair == ("F", "B"))


def _sides(trace: Iterable[str]) -> Iterator[str]:
    """Yields who sent each message of a libpq trace: "F" the client (frontend), "B" the server (backend)."""
    for line in trace:
        yield from {"F", "B"}.intersection(line.split("\t"))


def form(app: Flask, **data: str) -> bytes:
    """Returns the body of a form, with the token that Flask-WTF puts on the page."""
    signer = URLSafeTimedSerializer(app.config["SECRET_KEY"], salt="wtf-csrf-token")
    return urlencode({"csrf_token": signer.dumps(CSRF), **data}).encode()


def cookie_of(app: Flask, patient: Patient) -> str:
    """Returns the session cookie of a browser that opened the link and confirmed the birth date."""
    signer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    until = int(clock.now().timestamp()) + 3600
    value = signer.dumps({"link_id": patient.link_id, "confirmed_until": until, "csrf_token": CSRF})
    return f"{app.config['SESSION_COOKIE_NAME']}={value}"


def new_visit(protocol_code: str) -> Patient:
    """Returns a new subject with an open visit."""
    with db.Session() as session:
        number = f"BENCH-{next(_record_numbers)}"
        patient = add_patient(session, clock.now(), record_number=number, email=f"{number}@patients.example", mobile="")
        session.get_one(Course, patient.visit.course_id).protocol_code = protocol_code
        session.commit()
        return patient


def visit_to_send() -> Patient:
    """Returns a new visit of one instrument with every item answered, ready to be sent."""
    patient = new_visit(ONE_INSTRUMENT)
    with db.Session() as session:
        context = visit_context.by_visit(session, patient.visit.id)
        given = {item.link_id: 2 for item in context.questionnaire.items}
        responses.save_answers(session, context, INSTRUMENT, given, request_context.of_patient(None, clock.now()))
        session.commit()
    return patient


def prepare(server: PostgresqlServer) -> Flask:
    """Returns the service in this process, on a new database, for making visits and signing cookies."""
    server.execute("CREATE DATABASE benchmark")
    app = apps.full()
    migrate.upgrade(db.Session.kw["bind"])
    server.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, answers jsonb NOT NULL)", database="benchmark")
    return app


def environment(server: PostgresqlServer, folder: Path) -> dict[str, str]:
    """Returns the environment of this process and of gunicorn."""
    settings = {
        "DATABASE_URL": server.url("benchmark"),
        "BROKER_URL": "redis://127.0.0.1:1/0",  # answering connects to none
        "SMTP_URL": "smtp://127.0.0.1:9",
        "BASE_URL": "http://localhost",
        "SECRET_KEY": "a secret for benchmarks and for nothing else",
        "FIELD_KEYS": FIELD_KEYS,
        "LOG_LEVEL": "ERROR",
    }
    own = {"BENCHMARK_PROTOCOLS": str(folder), "BENCHMARK_URL": server.url("benchmark"), "WEB_CONCURRENCY": "1"}
    return {**own, **{PREFIX + name: value for name, value in settings.items()}}


@contextmanager
def protocol_folder() -> Iterator[Path]:
    """Yields a folder with the shipped protocols and one more, which asks a single instrument."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(protocol_catalog.PROTOCOLS, folder, dirs_exist_ok=True)
        text = (protocol_catalog.PROTOCOLS / "ketamine-5day.yaml").read_text(encoding="utf-8")
        text = text.replace("code: ketamine-5day", f"code: {ONE_INSTRUMENT}")
        text = re.sub(r"battery:\n(?:      - .*\n)+", f"battery:\n      - {INSTRUMENT}\n", text)
        (Path(folder) / f"{ONE_INSTRUMENT}.yaml").write_text(text, encoding="utf-8")
        yield Path(folder)


@contextmanager
def durable_server() -> Iterator[PostgresqlServer]:
    """Yields a private PostgreSQL that waits for the disk at each commit, as in production."""
    server = make_server(durable=True)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
