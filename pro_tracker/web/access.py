"""Access to routes: declared at each route, enforced here before it runs. A route without a declaration is refused."""

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
    """The declaration of one route: the kind of visitor and, for staff, the roles.

    `sites` is "own" where the route shows rows of the account's sites, "none" where it shows no subject's rows.
    """

    kind: Literal["public", "patient", "staff"]
    roles: frozenset[Role] = frozenset()
    sites: Sites = "own"


def public(view: View) -> View:
    """Declares a route that needs no sign-in and shows no personal data."""
    return declare(view, Access("public", sites="none"))


def patient(view: View) -> View:
    """Declares a route for holders of a personal link; the view itself checks what the link allows."""
    return declare(view, Access("patient", sites="none"))


def staff(*roles: Role, sites: Sites = "own") -> Callable[[View], View]:
    """Returns a decorator that declares a route for staff with one of `roles`; `sites` is as in `Access`."""
    access = Access("staff", frozenset(roles), sites)
    return lambda view: declare(view, access)


def declare(view: View, access: Access) -> View:
    """Attaches the declaration to the view and returns it; called directly for views of libraries."""
    view.access = access  # type: ignore[attr-defined]
    return view


def account() -> Account:
    """Returns the signed-in account; for staff routes only."""
    user: Account = current_user._get_current_object()
    return user


def actor() -> Actor:
    """Returns the signed-in account as the actor of audit events."""
    return Actor(ActorKind.ACCOUNT, str(account().id))


def init_app(app: Flask) -> None:
    """Enforces the declarations on every request; Flask's own route for static files is public."""
    declare(app.view_functions["static"], Access("public", sites="none"))
    app.before_request(_enforce)


def of_endpoint(endpoint: str) -> Access | None:
    """Returns the declaration of the endpoint's view; None for an unknown endpoint or an undeclared view."""
    view = current_app.view_functions.get(endpoint)
    access: Access | None = getattr(view, "access", None)
    return access


def _enforce() -> Any:
    """Returns a redirect to the sign-in page, or None to let the request through. Raises NotAllowed, NotSignedIn."""
    if request.endpoint is None:
        return None  # no such route: the 404 page
    access = of_endpoint(request.endpoint)
    if access is None:
        raise NotAllowed("This page declares no access, so nobody may use it.")
    if access.kind != "staff":
        return None
    if not current_user.is_authenticated:
        return _ask_to_sign_in()
    if account().role not in access.roles:
        raise NotAllowed("Your account may not use this page. Ask an administrator if you need it.")
    return None


def _ask_to_sign_in() -> Any:
    # A client that takes no HTML, such as a FHIR client, gets status 401 instead of a page it cannot read.
    accepted = request.accept_mimetypes
    if accepted and not accepted.accept_html:
        raise NotSignedIn("Sign in with a staff account first.")
    if request.method == "GET":
        target = request.full_path.rstrip("?")
    else:
        # The body of a POST is lost by the redirect, so the user returns to the page with the form.
        target = redirects.nearest_page()
        flash(_("What you had just sent was not saved. Sign in, and enter it again."), "error")
    return redirect(url_for("security.login", next=target))
