"""Forms that were sent when the access had ended: their fields wait in the page that asks for the birth date.

After the birth date the browser sends them once more, to the URL they were meant for. Nothing is stored.
"""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import current_app, g, request, url_for
from werkzeug.exceptions import HTTPException

from pro_tracker.web import given_times

TO = "waiting_to"  # the field that names the URL
OWN_FIELDS = ("csrf_token", "later", "retry", "short", "remember", "page_language", TO)


def fields() -> list[tuple[str, str]]:
    """Returns the names and values of the waiting form's fields, TO among them; none if no form waits."""
    to = request.form.get(TO) if _is_birth_date_form() else request.full_path.rstrip("?")
    if request.method != "POST" or to is None:
        return []
    sent = [(name, value) for name, value in request.form.items(multi=True) if _is_kept(name)]
    # An answer in it was given before now, however long the birth date takes.
    received = [] if given_times.RECEIVED in request.form else [(given_times.RECEIVED, given_times.now_field())]
    return [(TO, to), *sent, *received]


def destination() -> str | None:
    """Returns the URL that the waiting form was meant for; None without one, and for any but a form of this visit."""
    to = urlsplit(request.form.get(TO, ""))
    try:
        endpoint, values = current_app.url_map.bind("").match(to.path, "POST")
    except HTTPException:
        return None
    if values.get("visit") != g.visit_url_part or endpoint == "patient.confirm":
        return None
    query: dict[str, Any] = dict(parse_qsl(to.query, keep_blank_values=True))
    return url_for(endpoint, **{**query, **values})


def _is_birth_date_form() -> bool:
    return request.path == url_for("patient.start")


def _is_kept(name: str) -> bool:
    return name not in OWN_FIELDS and not name.startswith("birth_date")
