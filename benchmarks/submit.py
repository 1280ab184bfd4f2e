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
from dataclasses import dataclass
from itertools import count, islice, pairwise
from pathlib import Path
from urllib.parse import urlencode

from flask import Flask, url_for

from benchmarks import apps
from benchmarks.browser import FORM, Browser, Served, served
from benchmarks.measure import PER_ROUND, ROUNDS, WARM_UP, Steps, compare, machine, measure, show
from config.settings import PREFIX
from pro_tracker import clock, db, migrate
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.services.answering import request_context, saving, visit_accesses, visit_context
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.web.patient import visit_cookies
from tests.conftest import FIELD_KEYS
from tests.servers.postgresql import PostgresqlServer, make_server
from tests.support.patient_browser import BIRTH_DATE, N_ITEMS, Patient, add_patient

INSTRUMENT = "pcs"  # 13 items, four scales
ONE_INSTRUMENT = "one-instrument"  # a protocol made here, whose only battery is INSTRUMENT
PER_GROUP = 12  # of a minute, at one answer in five seconds
NOW_MS = 1_800_000_000_000  # by the clock of the phone
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
    show("  the same through the phone's queue (at most 60)", measure(servers, queued_visits(full), per_round=1))
    alone = queued_visits(full, ONE_INSTRUMENT)
    show(f"  {INSTRUMENT} alone through the queue (at most 25)", measure(servers, alone, per_round=1))


@dataclass(frozen=True)
class OpenedVisit:
    """A visit in a browser: the path of its start page, the Cookie header, and the token of its forms."""

    path: str
    cookie: str
    form_token: str


def bare_submits(bare: Served) -> Steps:
    body = json.dumps({f"PCS{number}": 2 for number in range(1, 14)}).encode()
    while True:
        yield
        for _ in range(PER_ROUND):
            bare.call("POST /", body, kind="application/json")
            yield


def full_submits(app: Flask, full: Served) -> Steps:
    """Yields after each submit. All visits are made first: made between rounds, they would cool this kind's caches."""
    visits = iter([opened_visit(app, visit_to_send()) for _ in range(PER_ROUND * (WARM_UP + ROUNDS))])
    while True:
        yield
        for opened in islice(visits, PER_ROUND):
            full.call(f"POST {opened.path}review", form(opened), cookie=opened.cookie)
            yield


def answered_items(app: Flask, full: Served) -> Steps:
    while True:
        opened = opened_visit(app, new_visit("ketamine-5day"))
        yield
        for position in range(1, PER_ROUND + 1):
            full.call(f"POST {opened.path}item/{position}", form(opened, answer="2"), cookie=opened.cookie)
            full.call(f"GET {opened.path}item/{position + 1}", cookie=opened.cookie)
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
    if not browser.path.endswith("/sent"):
        raise RuntimeError(f"the visit ended at {browser.path}")


def queued_visits(full: Served, protocol_code: str = "ketamine-5day") -> Steps:
    while True:
        patient = new_visit(protocol_code)
        yield
        walk_with_script(Browser(full), patient)
        yield


def walk_with_script(browser: Browser, patient: Patient) -> None:
    """Answers a visit as the script does: the questions once, then answers in groups, as after a minute each."""
    browser.open(f"/v/{patient.token}")
    give_birth_date(browser)
    base = browser.path.removesuffix("item/1")
    browser.open(f"{base}offline")
    browser.open(f"{base}questions")
    names = [item["name"] for item in json.loads(browser.page)["items"]]
    for first in range(0, len(names), PER_GROUP):
        group = names[first : first + PER_GROUP]
        answers = [{"item": name, "value": 2, "given_at": NOW_MS, "sequence": first} for name in group]
        browser.post_json(f"{base}answers", {"sent_at": NOW_MS, "answers": answers})
    browser.post_json(f"{base}answers", {"sent_at": NOW_MS, "answers": [], "send": True})
    browser.open(f"{base}sent")


def give_birth_date(browser: Browser) -> None:
    browser.submit({f"birth_date-{part}": str(getattr(BIRTH_DATE, part)) for part in ("day", "month", "year")})


def round_trips(app: Flask) -> int:
    """Returns how often a complete submit waits for PostgreSQL, counted in libpq's trace of its connection."""
    opened = opened_visit(app, visit_to_send())
    engine = db.Session.kw["bind"]
    engine.dispose()  # so that the pool holds one connection, the traced one
    with tempfile.TemporaryFile("w+") as trace:
        pooled = engine.raw_connection()
        pooled.driver_connection.pgconn.trace(trace.fileno())
        pooled.close()
        client = app.test_client(use_cookies=False)
        headers = {"Cookie": opened.cookie}
        sent = client.post(f"{opened.path}review", data=form(opened), content_type=FORM, headers=headers)
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


def form(opened: OpenedVisit, **data: str) -> bytes:
    """Returns the body of a form of the visit."""
    return urlencode({"csrf_token": opened.form_token, **data}).encode()


def opened_visit(app: Flask, patient: Patient) -> OpenedVisit:
    """Returns what a browser holds that opened the link and confirmed the birth date."""
    visit_id = patient.visit.id
    with db.Session() as session:
        secret = visit_accesses.start(session, patient.link_id, ResponseMode.SELF_WEB, now=clock.now())
        session.commit()
    with app.test_request_context():
        path = url_for("patient.start", visit=visit_cookies.url_part(visit_id))
        response = app.make_response("")
        visit_cookies.set_access(response, visit_id, secret, lasts=None)
        cookie = response.headers["Set-Cookie"].partition(";")[0]
        return OpenedVisit(path, cookie, visit_cookies.form_token(visit_id))


def new_visit(protocol_code: str) -> Patient:
    """Returns a new subject with an open visit."""
    with db.Session() as session:
        number = f"BENCH-{next(_record_numbers)}"
        facts = {
            "record_number": number,
            "email": f"{number}@patients.example",
            "mobile": "",
            "protocol": protocol_code,
        }
        return add_patient(session, clock.now(), **facts)


def visit_to_send() -> Patient:
    """Returns a new visit of one instrument with every item answered, ready to be sent."""
    patient = new_visit(ONE_INSTRUMENT)
    with db.Session() as session:
        context = visit_context.by_visit(session, patient.visit.id)
        given = {item.link_id: 2 for item in context.questionnaire.items}
        saving.save_answers(session, context, {INSTRUMENT: given}, request_context.of_patient(None, clock.now()))
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
