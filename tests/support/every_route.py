"""Every route of the application with addresses and forms that exist, for tests that send all of them odd values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from pro_tracker.web.access import Access

Fields = list[tuple[str, str]]
BASE_URL = "https://pro-tracker.test"
ENDINGS = (".send", ".finish", ".record_reason", ".withdraw", ".answer_here")  # after these, little else can be done
# What forms do not suggest themselves, by the last part of the field's name: enough for most of them to be accepted.
ENTRIES = {
    "reason": "entered for another subject",
    "given_name": "Ada",
    "family_name": "Example",
    "record_number": "R-4711",
    "consent_version": "1",
    "email": "ada@patients.example",
    "display_name": "Ada Example",
    "password": "a long enough password",
    "day": "2",
    "month": "3",
    "year": "2026",
    "minutes": "40",
}


@dataclass(frozen=True)
class Visitor:
    """A patient or a member of staff: the cookies that the browser has after the birth date or the sign-in."""

    cookies: str

    def request(self, app: Flask, method: str, path: str, **options: Any) -> TestResponse:
        """Sends a request that keeps no cookies, so that no request changes the next one."""
        headers = {"Cookie": self.cookies, **options.pop("headers", {})}
        browser = FlaskClient(app, use_cookies=False)
        return browser.open(path, method=method, headers=headers, base_url=BASE_URL, buffered=True, **options)


def visitor(client: FlaskClient, *paths: str) -> Visitor:
    """Returns the visitor whose cookies this client has, those of `paths` included."""
    kept = (client._cookies or {}).values()
    found = {(cookie.key, cookie.value) for cookie in kept if cookie.path in ("/", *paths)}
    return Visitor("; ".join(f"{key}={value}" for key, value in sorted(found)))


@dataclass
class Route:
    """A route with one method. `values` are parts of its path that exist; `fields` those of the form that it takes."""

    rule: Rule
    method: str
    values: Mapping[str, str]
    fields: Fields = field(default_factory=list)

    def path(self, odd: Mapping[str, str]) -> str:
        """Returns its path, with the `odd` values in place of those that exist."""
        path = ""
        for is_value, text in self.rule._trace:
            path += {**self.values, **odd}[text] if is_value else text.lstrip("|")
        return path


def routes(app: Flask, values: Mapping[str, str]) -> list[Route]:
    """Returns each route once for each of its methods, those that end something last."""
    found: list[Route] = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint in ("static", "assets.built_file"):
            continue
        found += [Route(rule, method, values) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    return sorted(found, key=lambda route: (route.rule.endpoint.endswith(ENDINGS), route.method))


def add_forms(app: Flask, found: list[Route], visitors: Mapping[str, Visitor]) -> None:
    """Gets every page as a visitor who may see it, and gives its forms to the routes that they are posted to."""
    urls = app.url_map.bind("")
    for page in [route for route in found if route.method == "GET"]:
        path = page.path({})
        answer = visitors[may_use(app, page)].request(app, "GET", path)
        for action, fields in forms(answer):
            for endpoint in _endpoints(urls, action or path):
                _give(found, endpoint, fields)


def may_use(app: Flask, route: Route) -> str:
    """Returns a role that may use the route, or "patient"."""
    access: Access = vars(app.view_functions[route.rule.endpoint])["access"]
    return min(access.roles, default="patient")


def forms(page: TestResponse) -> Iterator[tuple[str, Fields]]:
    """Yields the address and the fields of each form that is posted; the address is "" for that of the page."""
    if page.status_code == 200 and page.mimetype == "text/html":
        parser = _FormParser()
        parser.feed(page.text)
        yield from parser.found


def _endpoints(urls: Any, action: str) -> Iterator[str]:
    try:
        yield urls.match(action.partition("?")[0], "POST")[0]
    except HTTPException:
        return


def _give(found: list[Route], endpoint: str, fields: Fields) -> None:
    for route in found:
        if route.rule.endpoint == endpoint and route.method == "POST" and len(fields) > len(route.fields):
            route.fields = fields


class _FormParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Fields]] = []
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append((known.get("action", ""), []))
        elif tag in ("input", "textarea", "button") and known.get("name"):
            self._add(known["name"], known.get("value", ""))
        elif tag == "select":
            self._select = known.get("name", "")
        elif tag == "option" and "value" in known:
            self._add(self._select, known["value"])

    def _add(self, name: str, value: str) -> None:
        fields = self.found[-1][1] if self.found else []
        known = dict(fields)
        if name not in known:
            fields.append((name, value or ENTRIES.get(name.rpartition("-")[2], "")))
        elif value and not known[name]:  # the first option of a list that is more than "choose"
            fields[[name for name, _value in fields].index(name)] = (name, value)
