"""Helpers for tests of corrected answers: the pages of a visit's answers, their forms, and the rows behind them."""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import Subject
from pro_tracker.services.instruments import instrument_catalog
from tests.support.history_builder import visit_of


def answers_url(session: Session, subject: Subject, page: str = "", *, event: str = "baseline") -> str:
    """Returns the URL of the answers of a visit, or of a page below it, such as "remove"."""
    visit = visit_of(session, subject, event)
    return f"/subjects/{subject.id}/visits/{visit.id}/answers{page and '/'}{page}"


def amend_url(session: Session, subject: Subject, code: str, *, event: str = "baseline") -> str:
    return answers_url(session, subject, f"{code}/amend", event=event)


def current(session: Session, subject: Subject, code: str, *, event: str = "baseline") -> QuestionnaireResponse:
    """Returns the response of the visit to the instrument that is in effect."""
    session.expire_all()
    visit = visit_of(session, subject, event)
    rows = select(QuestionnaireResponse).where(
        QuestionnaireResponse.visit_id == visit.id,
        QuestionnaireResponse.instrument_code == code,
        QuestionnaireResponse.status != "entered-in-error",
    )
    return session.scalars(rows).one()


def in_effect(session: Session, subject: Subject, *, event: str = "baseline") -> dict[str, str]:
    """Returns instrument code -> status, of the visit's responses that are not entered in error."""
    session.expire_all()
    visit = visit_of(session, subject, event)
    rows = select(QuestionnaireResponse).where(QuestionnaireResponse.visit_id == visit.id)
    return {row.instrument_code: row.status for row in session.scalars(rows) if row.status != "entered-in-error"}


def raw_scores(session: Session, response: QuestionnaireResponse) -> list[float | None]:
    scores = select(Score).where(Score.response_id == response.id).order_by(Score.id)
    return [score.raw_score for score in session.scalars(scores)]


def columns(row: Any) -> dict[str, Any]:
    """Returns all values of a row as stored, by column."""
    inspect(row).session.refresh(row)
    return {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}


def amendment(response: QuestionnaireResponse, changes: Mapping[int, str], **more: str) -> dict[str, str]:
    """Returns the form that amends a response of a fixed form; `changes`: number of the item from 0 -> choice."""
    recorded = {f"item_{number}": _choice(value) for number, value in enumerate(answers_of(response))}
    changed = {f"item_{number}": choice for number, choice in changes.items()}
    known = {"as_shown": str(response.id), "source": "patient", "reason": "the patient said so on the telephone"}
    return {**recorded, **known, **changed, **more}


def answers_of(response: QuestionnaireResponse) -> list[int | None]:
    """Returns the answers in the order of the items; PostgreSQL stores them in another order."""
    items = instrument_catalog.instrument(response.instrument_code, response.instrument_version).items
    return [response.answers[item.link_id] for item in items]


def _choice(value: int | None) -> str:
    return "declined" if value is None else str(value)


def shown_form(page: TestResponse) -> dict[str, str]:
    """Returns what the forms of a page hold, as a browser would send it: texts, and what is selected or checked."""
    parser = _FilledForm()
    parser.feed(page.text)
    return parser.found


class _FilledForm(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "input" and ("checked" in known or known.get("type") not in ("radio", "checkbox")):
            self.found[known["name"]] = known.get("value", "")
        elif tag == "select":
            self._select = known["name"]
        elif tag == "option" and ("selected" in known or self._select not in self.found):
            self.found[self._select] = known["value"]


def as_seen(client: FlaskClient, url: str) -> str:
    """Returns the ids of the responses that a page of a visit's answers was filled with."""
    return shown_form(client.get(url))["as_shown"]


def submit_seen(client: FlaskClient, url: str, data: Mapping[str, str]) -> TestResponse:
    """Gets a page, changes its form by `data` and sends it."""
    return client.post(url, data={**shown_form(client.get(url)), **data})
