"""Built style sheets and scripts: their hashed names for templates, and a view that lets them be cached for a year."""

import json
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory, url_for

from pro_tracker.web import access

BUILD = Path(__file__).parent / "static" / "build"

blueprint = Blueprint("assets", __name__)


@cache
def manifest() -> dict[str, str]:
    """Plain to hashed file name, as the front-end build wrote it; RuntimeError says how to build."""
    try:
        names: dict[str, str] = json.loads((BUILD / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise RuntimeError("The pages' style sheets are not built. Run: npm ci && npm run build") from missing
    return names


@blueprint.app_template_global("asset")
def asset_url(name: str) -> str:
    """The address of a built file by its plain name ("patient.css")."""
    return url_for("assets.built_file", name=manifest()[name])


@blueprint.get("/assets/<name>")
@access.public
def built_file(name: str) -> Response:
    packed = request.accept_encodings["gzip"] > 0 and (BUILD / f"{name}.gz").is_file()
    kind = "text/css" if name.endswith(".css") else "text/javascript" if name.endswith(".js") else "image/svg+xml"
    response = send_from_directory(BUILD, f"{name}.gz" if packed else name, mimetype=kind, etag=False)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    # The name changes with the content, so a copy never goes stale.
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
