"""The administrators' page about webhooks: how many requests each provider sent, and how many were rejected."""

from flask import render_template

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.delivery_reports import WebhookCountKind
from pro_tracker.services.operations import webhook_counts
from pro_tracker.services.sending import delivery_reports
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff.blueprint import blueprint


@blueprint.get("/reports")
@access.staff(Role.ADMINISTRATOR, sites="none")
def reports() -> str:
    now = clock.now()
    return render_template(
        "staff/reports.html",
        counts=webhook_counts.recent(db_session(), now=now),
        kinds=tuple(WebhookCountKind),
        unmatched=delivery_reports.unmatched(db_session(), now=now),
    )
