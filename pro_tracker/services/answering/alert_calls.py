"""Raises answer alerts and opens their call: parts of the statements that save and send answers.

A new alert is one row of `answer_alert`. Only a new one opens the call, or opens it again after it was closed, so that
an alert after the first is seen too, and saving the same answer again changes nothing. Where the answers were taken
from the visit and it is asked again, the same value alerts once more: it may now be another person who gives it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, bindparam, text
from sqlalchemy.orm import Session

from pro_tracker.db import UtcDateTime, is_postgresql
from pro_tracker.domain.alert_codes import AlertKind
from pro_tracker.domain.call_codes import CallReason
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.services.answering.questionnaires import Answers
from pro_tracker.services.instruments import instrument_catalog

Row = dict[str, Any]
_COLUMNS = "kind, instrument_code, link_id, value"
_INSERT = f"INSERT INTO answer_alert AS known (visit_id, subject_id, {_COLUMNS}, opened_at)"
# A visit that is asked again was planned once more at that moment.
_ALERT_AGAIN = f"""ON CONFLICT (visit_id, instrument_code, link_id, value) DO UPDATE SET opened_at = excluded.opened_at
    WHERE known.opened_at < (SELECT planned_at FROM visit AS again WHERE again.id = known.visit_id)
    AND EXISTS (SELECT 1 FROM questionnaire_response AS former WHERE former.visit_id = known.visit_id
        AND former.instrument_code = known.instrument_code
        AND former.status = '{ResponseStatus.ENTERED_IN_ERROR}')"""  # nosec B608  constants
_REOPEN = """ON CONFLICT (visit_id, reason) DO UPDATE SET opened_at = excluded.opened_at, closed_at = NULL,
    outcome = NULL, account_id = NULL, call_again_at = NULL, caller_id = NULL, calling_until = NULL
    WHERE call.closed_at IS NOT NULL"""
_RAISE_SQLITE = text(
    f"""{_INSERT} SELECT id, subject_id, :kind, :instrument_code, :link_id, :value, :now FROM visit
    WHERE id = :this_visit {_ALERT_AGAIN}"""  # nosec B608  constants of this module are put in
).bindparams(bindparam("now", type_=UtcDateTime))


def rows_of(answers: Answers) -> list[Row]:
    """The alerts that these answers raise, one for each alerting value."""
    return list(_rows_of(answers))


def _rows_of(answers: Answers) -> Iterator[Row]:
    for instrument_code, given in answers.items():
        for raised in instrument_catalog.instrument(instrument_code).alerts_in(given):
            yield {
                "kind": AlertKind.ANSWER,
                "instrument_code": instrument_code,
                "link_id": raised.link_id,
                "value": raised.value,
            }


def as_json(rows: Sequence[Row]) -> str:
    """Rows as PostgreSQL reads them."""
    return json.dumps(rows, default=str)


def raise_alerts(visit: str, *, if_: str) -> str:
    """The part for PostgreSQL that inserts the alerts in `:alerts` (JSON) and returns the new ones.

    `visit`: the table to read the visit from; `if_`: the condition on which they are raised.
    """
    return f"""{_INSERT} SELECT {visit}.id, {visit}.subject_id, {_COLUMNS}, :now FROM {visit},
        (SELECT {_COLUMNS} FROM jsonb_populate_recordset(NULL::answer_alert, CAST(:alerts AS jsonb))) AS raised
        WHERE {visit}.id = :this_visit AND {if_} {_ALERT_AGAIN}
        RETURNING known.visit_id, known.subject_id"""  # nosec B608


def open_call(new_alerts: str) -> str:
    """The part that opens the call about a visit. `new_alerts`: the table to read visit and subject from.

    No call is opened about a person who died, whose answers may be kept or corrected afterwards.
    """
    return f"""INSERT INTO call (subject_id, visit_id, reason, opened_at)
    SELECT DISTINCT subject_id, visit_id, '{CallReason.ALERT}', :now FROM {new_alerts} WHERE NOT EXISTS (
        SELECT 1 FROM subject AS record JOIN subject AS person ON person.id = coalesce(record.merged_into_id, record.id)
        WHERE record.id = subject_id AND person.death_recorded_at IS NOT NULL)
    {_REOPEN}"""  # nosec B608  only constants are put in


_OPEN_SQLITE = text(
    open_call("(SELECT subject_id, id AS visit_id FROM visit WHERE id = :this_visit)")  # nosec B608
).bindparams(bindparam("now", type_=UtcDateTime))


_RAISE_POSTGRESQL = text(
    f"WITH alert AS ({raise_alerts('visit', if_='TRUE')}) {open_call('alert')}".replace("::", r"\:\:")  # nosec B608
).bindparams(bindparam("now", type_=UtcDateTime))


def raise_now(session: Session, visit_id: int, alerts: Sequence[Row], *, now: datetime) -> None:
    """Raises these alerts about a visit, for answers that are kept without being saved in it."""
    known = {"this_visit": visit_id, "now": now}
    if is_postgresql(session):
        session.execute(_RAISE_POSTGRESQL, {**known, "alerts": as_json(alerts)})
    else:
        raise_on_sqlite(session, known, alerts)


def raise_on_sqlite(session: Session, saved: Mapping[str, Any], alerts: Sequence[Row]) -> None:
    """Does the same in several statements of one transaction. `saved`: at least `this_visit` and `now`."""
    known = {"this_visit": saved["this_visit"], "now": saved["now"]}
    n_new = 0
    for alert in alerts:
        result = session.execute(_RAISE_SQLITE, {**known, **alert})
        n_new += cast(CursorResult[Any], result).rowcount
    if n_new:
        session.execute(_OPEN_SQLITE, known)
