"""The service worker, and the page without content that a phone keeps: with both a visit opens without a connection."""

from flask import Response, render_template

from pro_tracker import clock
from pro_tracker.web import access, assets
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint

WORKER = "offline.js"


@blueprint.get("/offline.js")
@access.public
def service_worker() -> Response:
    """Serves the script. Its address is without a hash and at the root, which is what lets it serve /v/ and /visit/."""
    response = assets.built_file(assets.manifest()[WORKER])
    response.headers["Cache-Control"] = "no-cache"  # a browser asks for a newer one at each visit
    return response


@blueprint.get("/visit/<visit>/offline")
@access.patient
def offline_page() -> str:
    """Shows the page of a visit without a connection. The phone keeps it, so it has no question and no answer."""
    current.confirmed_visit(clock.now())
    return render_template("patient/offline.html")
