"""/healthz: the process answers. /readyz: every part it needs does too."""

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
    config = current_app.config
    parts = readiness.check(db_session(), config["BROKER_URL"], now=clock.now(), sms_provider=config["SMS_PROVIDER"])
    ready = all(part.ok for part in parts)
    body = {part.name: {"ok": part.ok, **({"note": part.note} if part.note else {})} for part in parts}
    return jsonify(ready=ready, parts=body), 200 if ready else 503
