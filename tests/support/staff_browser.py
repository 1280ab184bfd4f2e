"""Helpers for tests of staff pages: accounts, signing in, and submitting forms as a browser does."""

import html
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from pro_tracker.models.account import Account
from pro_tracker.models.site import Site

PASSWORD = "four words in a row"
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
SEEN = re.compile(r'name="seen_difference" value="([^"]+)"')
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')

HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # the lowest cost: signing in need not be slow
hash_once = cache(HASHER.hash)


def add_site(session: Session, code: str = "north", *, time_zone: str = "America/New_York") -> Site:
    site = session.scalar(select(Site).where(Site.code == code))
    if site is None:
        site = Site(code=code, name=f"{code.title()} Clinic", time_zone=time_zone, phone="+1 216 555 0100")
        session.add(site)
        session.flush()
    return site


def add_account(session: Session, role: str, *sites: str, email: str = "") -> Account:
    """Adds an account of `role` at `sites` (by default north) with the password PASSWORD."""
    account = Account(
        email=email or f"{role}@clinic.example",
        display_name=f"The {role}",
        password=hash_once(PASSWORD),
        role=role,
        sites=[add_site(session, code) for code in sites or ("north",)],
        fs_uniquifier=uuid.uuid4().hex,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    session.add(account)
    session.flush()
    return account


def csrf_token(client: FlaskClient, path: str) -> str:
    """Returns the CSRF token of the first form on a page."""
    found = TOKEN.search(client.get(path, follow_redirects=True).text)
    assert found, f"no form on {path}"
    return found[1]


def submit(client: FlaskClient, path: str, data: Mapping[str, Any], *, page: str = "", **options: Any) -> TestResponse:
    """Posts a form with the token of `page` (by default the same path)."""
    return client.post(path, data={"csrf_token": csrf_token(client, page or path), **data}, **options)


def save(client: FlaskClient, path: str, data: Mapping[str, Any], *, page: str = "") -> TestResponse:
    """Posts a form and confirms its preview, if it has one."""
    return confirm(client, submit(client, path, data, page=page))


def confirm(client: FlaskClient, page: TestResponse) -> TestResponse:
    """Confirms a preview; returns any other page unchanged."""
    seen = SEEN.search(page.text)
    if seen is None:
        return page
    carried = [(name, html.unescape(value)) for name, value in HIDDEN.findall(page.text)]
    return client.post(page.request.path, data=MultiDict([*carried, ("seen_difference", seen[1])]))


def sign_in(client: FlaskClient, account: Account | str, password: str = PASSWORD, **options: Any) -> TestResponse:
    email = account if isinstance(account, str) else account.email
    return submit(client, "/sign-in", {"email": email, "password": password}, **options)


def sign_in_colleague(client: FlaskClient, session: Session) -> FlaskClient:
    """Signs in another coordinator of the clinic, Robin Colleague; returns the browser."""
    account = add_account(session, "coordinator", email="colleague@clinic.example")
    account.display_name = "Robin Colleague"
    sign_in(client, account)
    return client
