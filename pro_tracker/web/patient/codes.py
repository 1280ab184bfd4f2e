"""The page on which a patient types the short code of a printed card. It leads to the page of the birth date."""

from collections.abc import Callable
from typing import Any, cast

from flask import Flask, Response, redirect, render_template
from flask.blueprints import BlueprintSetupState
from flask_limiter import Limiter
from werkzeug.wrappers import Response as AnyResponse

from pro_tracker import clock
from pro_tracker.services.answering import short_codes
from pro_tracker.web import access, limits
from pro_tracker.web.patient import entry
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import CodeForm
from pro_tracker.web.session import commit, db_session

Page = str | tuple[str, int] | AnyResponse
# Of codes that are not known. The second is for all addresses together: one who guesses may have many.
TRIES_BY_ADDRESS, TRIES_IN_ALL = "20 per 10 minutes", "300 per hour"
NOT_KNOWN = 422


@blueprint.get("/code")
@access.public
def ask_code() -> str:
    return render_template("patient/code.html", form=CodeForm(formdata=None))


@blueprint.post("/code")
@access.public
def enter_code() -> Page:
    form = CodeForm()
    if not form.validate():
        return render_template("patient/code.html", form=form), NOT_KNOWN
    link_id = short_codes.find(db_session(), form.code.data, now=clock.now())
    if link_id is None:
        form.refuse()
        return render_template("patient/code.html", form=form), NOT_KNOWN
    commit()
    return entry.remember(link_id, "patient.start")


@blueprint.get("/code/")
@access.public
def ask_code_with_slash() -> AnyResponse:
    """Leads to the page for an address that was typed with a slash at its end."""
    return redirect("/code")


@blueprint.record_once
def _limit_tries(state: BlueprintSetupState) -> None:
    app = cast(Flask, state.app)
    views = app.view_functions
    limited = _limits(limits.limiter(app, "code"))
    endpoint = f"{blueprint.name}.{enter_code.__name__}"
    views[endpoint] = access.public(limited(views[endpoint]))


def _limits(limiter: Limiter) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Returns a decorator that limits unknown codes by network address and in all."""
    by_address = limiter.limit(TRIES_BY_ADDRESS, deduct_when=_is_unknown)
    in_all = limiter.limit(TRIES_IN_ALL, key_func=lambda: "all", deduct_when=_is_unknown)
    return lambda view: by_address(in_all(view))


def _is_unknown(response: Response) -> bool:
    return response.status_code == NOT_KNOWN
