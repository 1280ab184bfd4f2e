"""Who may use a route: declared at the route, enforced here before it runs. A route without one serves nobody."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from flask import Flask, current_app, flash, redirect, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from pro_tracker.domain.account_codes import ActorKind, Role
from pro_tracker.domain.errors import NotAllowed, NotSignedIn
from pro_tracker.models.account import Account
from pro_tracker.services.audit import Actor
from pro_tracker.web import redirects

View = TypeVar("View", bound=Callable[..., Any])
Sites = Literal["own", "none"]


@dataclass(frozen=True)
class Access:
    """Kind of visitor, for staff the roles, and whether rows are those of the account's own sites or there are none."""

    kind: Literal["public", "patient", "staff"]
    roles: frozenset[Role] = frozenset()
    sites: Sites = "own"


def public(view: View) -> View:
    """Anybody, signed in or not; the route shows nothing of a person."""
    return declare(view, Access("public", sites="none"))


def patient(view: View) -> View:
    """Whoever holds a personal link; the view itself asks what the link allows."""
    return declare(view, Access("patient", sites="none"))


def staff(*roles: Role, sites: Sites = "own") -> Callable[[View], View]:
    """Signed-in staff with one of `roles`; `sites="none"` where a route shows no subject's rows."""
    access = Access("staff", frozenset(roles), sites)
    return lambda view: declare(view, access)


def declare(view: View, access: Access) -> View:
    """Attach the declaration; used directly for views of libraries."""
    view.access = access  # type: ignore[attr-defined]
    return view


def account() -> Account:
    """The signed-in account of a staff route."""
    user: Account = current_user._get_current_object()
    return user


def actor() -> Actor:
    """The signed-in account as the audit trail names it."""
    return Actor(ActorKind.ACCOUNT, str(account().id))


def init_app(app: Flask) -> None:
    declare(app.view_functions["static"], Access("public", sites="none"))
    app.before_request(_enforce)


def _enforce() -> Any:
    if request.endpoint is None:
        return None  # no such route: the 404 page
    access: Access | None = getattr(current_app.view_functions[request.endpoint], "access", None)
    if access is None:
        raise NotAllowed("This page declares no access, so nobody may use it.")
    if access.kind != "staff":
        return None
    if not current_user.is_authenticated:
        if request.accept_mimetypes and not request.accept_mimetypes.accept_html:
            raise NotSignedIn("Sign in with a staff account first.")
        if request.method == "GET":
            target = request.full_path.rstrip("?")
        else:
            target = redirects.nearest_page()
            flash(_("What you had just sent was not saved. Sign in, and enter it again."), "error")
        return redirect(url_for("security.login", next=target))
    if account().role not in access.roles:
        raise NotAllowed("Your account may not use this page. Ask an administrator if you need it.")
    return None
