"""The values that the parts of a URL can have: a path with any other value is that of no page, so it gets 404."""

from typing import Any

from flask import Flask, abort, request
from werkzeug.routing import IntegerConverter, Map, PathConverter, UnicodeConverter, ValidationError

LARGEST_ID = 2**63 - 1  # of a BIGINT column; SQLite raises OverflowError above it


class IdConverter(IntegerConverter):
    """A whole number that an id column can hold."""

    regex = r"[0-9]{1,19}"  # Python refuses to read more than 4,300 digits

    def __init__(self, map: Map, *args: Any, **options: Any) -> None:  # noqa: A002  the library's name
        super().__init__(map, *args, **{"max": LARGEST_ID, **options})


class TextConverter(UnicodeConverter):
    """One part of a path, without NUL, which PostgreSQL does not take in text."""

    def to_python(self, value: str) -> str:
        return _without_nul(value)


class AnyPathConverter(PathConverter):
    """The rest of a path, without NUL."""

    def to_python(self, value: str) -> str:
        return _without_nul(value)


def init_app(app: Flask) -> None:
    """Replaces the converters of Werkzeug. Must precede the registration of routes."""
    app.url_map.converters.update(
        int=IdConverter,
        string=TextConverter,
        default=TextConverter,
        path=AnyPathConverter,
    )
    app.before_request(_refuse_nul_in_query)


def _refuse_nul_in_query() -> None:
    """Answers 400: views look up what a query names, and PostgreSQL does not take NUL in text."""
    if b"%00" in request.query_string or b"\0" in request.query_string:
        abort(400)


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValidationError
    return value
