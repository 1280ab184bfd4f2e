"""Where to go from an address that only takes a form: a reload, a bookmark, or signing in again leads there."""

from flask import current_app, request


def nearest_page() -> str:
    """The path of this request, or the nearest one above it, that can be looked at."""
    known, path = current_app.url_map.bind(""), request.path
    while path and not known.test(path, "GET"):
        path = path.rpartition("/")[0]
    return path or "/"
