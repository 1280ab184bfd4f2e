"""Probes for operators: /healthz (liveness: the process answers) and /readyz (readiness: each part works)."""

from flask import Blueprint, Response, current_app, jsonify

from pro_tracker import clock
from pro_tracker.services.operations import readiness
from pro_tracker.web import access
from pro_tracker.web.session import db_session

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@access.public
def healthz() -> Response:
    return jsonify(status="ok")


@blueprint.get("/readyz")
@access.public
def readyz() -> tuple[Response, int]:
    """Returns the state of each part, with status 503 if one of them does not work."""
    config = current_app.config
    parts = readiness.check(
        db_session(),
        config["BROKER_URL"],
        now=clock.now(),
        sms_provider=config["SMS_PROVIDER"],
    )
    ready = all(part.ok for part in parts)
    body: dict[str, dict[str, bool | str]] = {}
    for part in parts:
        body[part.name] = {"ok": part.ok}
        if part.note:
            body[part.name]["note"] = part.note
    return jsonify(ready=ready, parts=body), 200 if ready else 503
