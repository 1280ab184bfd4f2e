"""Every route declares who may use it, and the application denies everyone else."""

import re

import pytest

from pro_tracker.web.access import Access

PLACE = re.compile(r"<(?:(?P<converter>\w+):)?\w+>")
# The object of an address need not exist: access is checked first.
SAMPLES = {"default": "any", "string": "any", "path": "any", "int": "1", "uuid": "00000000-0000-4000-8000-000000000000"}
ONE_DATABASE = pytest.mark.dialects("sqlite")


@ONE_DATABASE
def test_every_route_declares_its_access(app):
    undeclared = {
        rule.endpoint: str(rule)
        for rule in app.url_map.iter_rules()
        if not isinstance(getattr(app.view_functions[rule.endpoint], "access", None), Access)
    }

    assert undeclared == {}


@ONE_DATABASE
def test_staff_routes_name_at_least_one_role_and_the_others_none(app):
    wrong = {
        endpoint: view.access
        for endpoint, view in app.view_functions.items()
        if (view.access.kind == "staff") != bool(view.access.roles)
    }

    assert wrong == {}


@ONE_DATABASE
def test_a_route_without_a_declaration_is_denied(app, client):
    app.add_url_rule("/undeclared", view_func=lambda: "a page without a declaration")

    assert client.get("/undeclared").status_code == 403


@ONE_DATABASE
def test_staff_pages_send_a_stranger_to_the_sign_in_page(app, client):
    pages = list(_pages(app, "staff"))

    answers = {address: client.get(address) for address in pages}

    assert pages
    assert {a: r.status_code for a, r in answers.items() if r.status_code != 302} == {}
    assert {a: r.location for a, r in answers.items() if not r.location.startswith("/sign-in")} == {}


def _pages(app, kind):
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and app.view_functions[rule.endpoint].access.kind == kind:
            yield PLACE.sub(lambda place: SAMPLES[place["converter"] or "default"], str(rule))
