"""Redirect targets for URLs that only accept POST, which a reload, a bookmark or a new sign-in can request by GET."""

from flask import current_app, request


def nearest_page() -> str:
    """Returns the path of this request if GET is allowed, else the nearest parent path for which it is."""
    routes = current_app.url_map.bind("")
    path = request.path
    while path and not routes.test(path, "GET"):
        path, _slash, _last = path.rpartition("/")
    return path or "/"
