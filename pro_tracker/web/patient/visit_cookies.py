"""The cookies of a visit, each sent to the URLs of this visit only, so that tabs with several visits stay apart.

The link cookie says which link was opened; it is signed and shows nothing by itself. The access cookie holds the secret
of a VisitAccess, once the birth date was given. A visit's part of its URLs and the token of its forms are signatures of
its id, so that neither can be forged.
"""

import hmac
from datetime import timedelta
from typing import NamedTuple

from flask import current_app, request, url_for
from itsdangerous import BadSignature, Signer, URLSafeSerializer
from werkzeug.wrappers import Response

from pro_tracker.domain.response_codes import ResponseMode


def url_part(visit_id: int) -> str:
    """Returns the part of the visit's URLs that names it."""
    return _signature("visit-url", visit_id)


def form_token(visit_id: int) -> str:
    """Returns the token of the visit's forms (OWASP: HMAC based token).

    It is the same before and after the birth date, and in each browser: a form stays valid while another tab is
    confirmed, and what was typed in it can be sent again.
    """
    return _signature("visit-form", visit_id)


def is_form_token(visit_id: int, token: str) -> bool:
    """Returns whether this is the token of the visit's forms."""
    return hmac.compare_digest(form_token(visit_id).encode(), token.encode())


class OpenedLink(NamedTuple):
    """A link that was opened in a browser, and on whose device that is."""

    link_id: int
    mode: ResponseMode = ResponseMode.SELF_WEB


def opened_link() -> OpenedLink | None:
    """Returns the link that was last opened for the visit of this URL, None without a valid cookie."""
    try:
        link_id, mode = _link_serializer().loads(request.cookies.get(_name("link"), ""))
    except BadSignature:
        return None
    return OpenedLink(link_id, ResponseMode(mode))


def access_secret() -> str | None:
    """Returns the secret of the access to the visit of this URL."""
    return request.cookies.get(_name("access"))


def set_link(response: Response, visit_id: int, opened: OpenedLink) -> None:
    """Sets the link cookie, until the browser is closed."""
    _set(response, "link", visit_id, _link_serializer().dumps(opened))


def set_access(response: Response, visit_id: int, secret: str, *, lasts: timedelta | None) -> None:
    """Sets the access cookie for a time, so that what the phone kept can be sent; None: until the browser is closed.

    The server knows for how long the answers may be read with it, which is less.
    """
    max_age = None
    if lasts is not None:
        max_age = int(lasts.total_seconds())
    _set(response, "access", visit_id, secret, max_age)


def delete(response: Response, visit_id: int) -> None:
    """Removes both cookies of the visit."""
    for kind in ("link", "access"):
        _set(response, kind, visit_id, "", max_age=0)


def _set(response: Response, kind: str, visit_id: int, value: str, max_age: int | None = None) -> None:
    response.set_cookie(
        _name(kind),
        value,
        max_age=max_age,
        path=url_for("patient.start", visit=url_part(visit_id)),
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )


def _name(kind: str) -> str:
    prefix = "__Secure-" if current_app.config["SESSION_COOKIE_SECURE"] else ""
    return f"{prefix}visit-{kind}"


def _signature(purpose: str, visit_id: int) -> str:
    return Signer(current_app.config["SECRET_KEY"], salt=purpose).get_signature(str(visit_id)).decode()


def _link_serializer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt="visit-link")
