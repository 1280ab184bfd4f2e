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
ProviderDay = tuple[date, str]  # day in UTC, provider


def count(session: Session, provider: str, kind: WebhookCountKind, *, now: datetime) -> None:
    """Counts one call of `kind` on the current day in UTC."""
    today = now.astimezone(UTC).date()
    row = {"provider": provider, "counted_on": today, "kind": kind, "n_calls": 1}
    insert = insert_into(session, WebhookCount, row)
    upsert = insert.on_conflict_do_update(
        index_elements=["provider", "counted_on", "kind"],
        set_={"n_calls": WebhookCount.n_calls + 1},
    )
    session.execute(upsert)


def recent(session: Session, *, now: datetime) -> Mapping[ProviderDay, Mapping[WebhookCountKind, int]]:
    """Returns (day in UTC, provider) -> kind -> number of calls in the last thirty days, newest first."""
    since = (now - RECENT).astimezone(UTC).date()
    rows = select(WebhookCount).where(WebhookCount.counted_on > since)
    newest_first = rows.order_by(WebhookCount.counted_on.desc(), WebhookCount.provider)
    found: dict[ProviderDay, dict[WebhookCountKind, int]] = defaultdict(dict)
    for row in session.scalars(newest_first):
        of_day = found[row.counted_on, row.provider]
        of_day[row.kind] = row.n_calls
    return found
