"""Built style sheets and scripts: URLs with content hashes for templates, and a view that allows caching for a year."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory, url_for

from pro_tracker.domain.errors import ProTrackerError
from pro_tracker.languages import COMPILED, WRITTEN, catalogues, is_shipped
from pro_tracker.web import access

BUILD = Path(__file__).parent / "static" / "build"
MIME_TYPES = {".css": "text/css", ".js": "text/javascript"}  # all others are icons

blueprint = Blueprint("assets", __name__)


class MissingAssets(ProTrackerError):
    """Built style sheets, scripts or message catalogues are not there."""


def require_built() -> None:
    """Raises MissingAssets, which says what to run, unless all that pages need was built."""
    missing = [path for path in _needed() if not path.is_file()]
    if not missing:
        return
    raise MissingAssets(f"{_what_to_run(missing)}, then start again.")


def _what_to_run(missing: Sequence[Path]) -> str:
    """Says what is missing and how it is made: the package's files together, a clinic's own catalogue by itself."""
    first = missing[0]
    if first.suffix != COMPILED or is_shipped(first):
        return f"Not built: {', '.join(path.name for path in missing)}. Run `make assets`"
    command = f"pybabel compile --input-file {first.with_suffix(WRITTEN)} --output-file {first}"
    return f"Not compiled: {first}. Run `{command}`"


def _needed() -> list[Path]:
    """The files that the pages need; English needs no catalogue, since the texts in the source are English."""
    compiled = [path.with_suffix(COMPILED) for path in catalogues()]
    names = BUILD / "manifest.json"
    built = [BUILD / name for name in manifest().values()] if names.is_file() else []
    return [names, *built, *compiled]


@cache
def manifest() -> dict[str, str]:
    """Returns the hashed file name for each plain one, as the front-end build wrote them. RuntimeError if not built."""
    try:
        names: dict[str, str] = json.loads((BUILD / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise RuntimeError("The pages' style sheets are not built. Run: npm ci && npm run build") from missing
    return names


@blueprint.app_template_global("asset")
def asset_url(name: str) -> str:
    """Returns the URL of a built file for its plain name, such as "patient.css"."""
    return url_for("assets.built_file", name=manifest()[name])


@blueprint.get("/assets/<name>")
@access.public
def built_file(name: str) -> Response:
    """Serves one built file, compressed where the browser accepts gzip."""
    compressed_name = f"{name}.gz"
    is_compressed = request.accept_encodings["gzip"] > 0 and (BUILD / compressed_name).is_file()
    mime_type = MIME_TYPES.get(Path(name).suffix, "image/svg+xml")
    response = send_from_directory(
        BUILD,
        compressed_name if is_compressed else name,
        mimetype=mime_type,
        etag=False,
    )
    if is_compressed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    # The name changes with the content, so a cached copy never goes stale.
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
