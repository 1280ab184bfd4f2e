"""How many calls our webhooks got, by day and by what became of them: who sees many forged ones looks into it."""

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
    """Count one call of that kind."""
    row = {"provider": provider, "counted_on": now.astimezone(UTC).date(), "kind": kind, "n_calls": 1}
    insert = insert_into(session, WebhookCount, row)
    keys = ["provider", "counted_on", "kind"]
    session.execute(insert.on_conflict_do_update(index_elements=keys, set_={"n_calls": WebhookCount.n_calls + 1}))


def recent(session: Session, *, now: datetime) -> Mapping[tuple[date, str], Mapping[WebhookCountKind, int]]:
    """(day, provider) -> kind -> how many, of the last thirty days, newest first."""
    rows = select(WebhookCount).where(WebhookCount.counted_on > (now - RECENT).astimezone(UTC).date())
    found: dict[tuple[date, str], dict[WebhookCountKind, int]] = defaultdict(dict)
    for row in session.scalars(rows.order_by(WebhookCount.counted_on.desc(), WebhookCount.provider)):
        found[row.counted_on, row.provider][row.kind] = row.n_calls
    return found
