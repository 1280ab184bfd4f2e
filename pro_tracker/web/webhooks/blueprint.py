"""The blueprint of the webhooks: stores reports, rejects requests that are not validly signed, and counts both.

Requests come from programs without a session, so the signature takes the place of a CSRF token.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, current_app, jsonify

from pro_tracker import clock
from pro_tracker.domain.delivery_reports import WebhookCountKind
from pro_tracker.domain.errors import NotFound, ProTrackerError
from pro_tracker.services.operations import webhook_counts
from pro_tracker.services.sending import delivery_reports
from pro_tracker.services.sending.delivery_reports import ReportedEvent
from pro_tracker.web.session import commit, db_session

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")

# The HTTP status of the answer to a rejected request.
STATUS = {WebhookCountKind.FORGED: 403, WebhookCountKind.STALE: 403, WebhookCountKind.UNREADABLE: 422}


class RejectedCall(ProTrackerError):
    """A request that is not authentic or cannot be read; `kind` is what it is counted as."""

    def __init__(self, provider: str, kind: WebhookCountKind, message: str) -> None:
        super().__init__(message)
        self.provider, self.kind = provider, kind


@blueprint.url_value_preprocessor
def _skip_account_lookup(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Skips the search for a signed-in account, as on patient pages, so that no cookie is set."""
    current_app.login_manager._update_request_context_with_user()  # type: ignore[attr-defined]


@blueprint.errorhandler(RejectedCall)
def _reject(rejected: RejectedCall) -> tuple[Response, int]:
    webhook_counts.count(db_session(), rejected.provider, rejected.kind, now=clock.now())
    commit()
    return jsonify(error=str(rejected)), STATUS[rejected.kind]


@blueprint.errorhandler(NotFound)
def _not_found(error: NotFound) -> tuple[Response, int]:
    return jsonify(error=str(error)), 404


def receive(provider: str, reports: Iterable[ReportedEvent], *, now: datetime) -> list[ReportedEvent]:
    """Stores the reports of one request and returns those that are new.

    The request is counted as TAKEN, or as KNOWN if it has reports and none of them is new.
    """
    reports = list(reports)
    new = [report for report in reports if delivery_reports.record(db_session(), report, now=now)]
    kind = WebhookCountKind.TAKEN if new or not reports else WebhookCountKind.KNOWN
    webhook_counts.count(db_session(), provider, kind, now=now)
    for report in new:
        if report.written is not None and not delivery_reports.has_known_sender(db_session(), report):
            webhook_counts.count(db_session(), provider, WebhookCountKind.UNKNOWN_SENDER, now=now)
    return new
