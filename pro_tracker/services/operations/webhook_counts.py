"""Counts the calls of our webhooks by day and kind, so that the operator notices forged ones."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.delivery_reports import WebhookCountKind
from pro_tracker.models.delivery_report import WebhookCount

RECENT = timedelta(days=30)


def count(session: Session, provider: str, kind: WebhookCountKind, *, now: datetime) -> None:
    """Counts one call of `kind` on the current day in UTC."""
    row = {"provider": provider, "counted_on": now.astimezone(UTC).date(), "kind": kind, "n_calls": 1}
    insert = insert_into(session, WebhookCount, row)
    keys = ["provider", "counted_on", "kind"]
    one_more = {"n_calls": WebhookCount.n_calls + 1}
    session.execute(insert.on_conflict_do_update(index_elements=keys, set_=one_more))


def recent(session: Session, *, now: datetime) -> Mapping[tuple[date, str], Mapping[WebhookCountKind, int]]:
    """Returns (day in UTC, provider) -> kind -> number of calls in the last thirty days, newest first."""
    since = (now - RECENT).astimezone(UTC).date()
    rows = select(WebhookCount).where(WebhookCount.counted_on > since)
    newest_first = rows.order_by(WebhookCount.counted_on.desc(), WebhookCount.provider)
    found: dict[tuple[date, str], dict[WebhookCountKind, int]] = defaultdict(dict)
    for row in session.scalars(newest_first):
        found[row.counted_on, row.provider][row.kind] = row.n_calls
    return found
