"""Reads the call list: the open calls that are due now, or postponed, by page.

The order: alerts first, oldest first; then by the closing of the visit window; then by severity at baseline.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Float, Row, Select, and_, case, exists, func, null, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from pro_tracker.domain.call_codes import CallReason
from pro_tracker.domain.instrument import Scale
from pro_tracker.domain.protocol import Protocol
from pro_tracker.models.account import Account
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.course import Course
from pro_tracker.models.response import COUNTED_STATUSES, QuestionnaireResponse, Score
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic import visibility
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

Joined = Select[*tuple[Any, ...]]
Order = tuple[Any, ...]
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class CallListFilters:
    """Which calls to list. `site`: a site code, "" for all. `page` counts from 1.

    `mine`: only calls that the account has claimed or made the last attempt at. `later`: only postponed calls.
    """

    site: str = ""
    mine: bool = False
    later: bool = False
    page: int = 1


@dataclass(frozen=True, slots=True)
class CallPage:
    """One page. `rows`: Call, Visit, Subject (with identity, contacts and site), Course, severity (a score, or None).

    `ranked_by`: the titles of the scales of the severity scores. `attempts`: call id -> earlier attempts with the
    caller's name. `callers`: account id -> name. `n_now`, `n_later`: the totals of due and of postponed calls.
    """

    rows: Sequence[Row[Any]]
    ranked_by: Sequence[str]
    attempts: Mapping[int, Sequence[Row[Any]]]
    callers: Mapping[int, str]
    n_now: int
    n_later: int
    filters: CallListFilters

    @property
    def last(self) -> int:
        """The number of the last page, from 1."""
        return _last_page(self.n_later if self.filters.later else self.n_now)


def page(session: Session, account: Account, filters: CallListFilters, *, now: datetime) -> CallPage:
    """Returns a page of the open calls at the account's sites, in five SQL statements whatever the number of calls."""
    rows = _filtered(visibility.visible(open_calls(), account), account, filters, now)
    n_now, n_later = _totals(session, rows, now)
    number = min(max(filters.page, 1), _last_page(n_later if filters.later else n_now))
    used = _protocols_called_about(session)
    ordered = _ordered(rows, used, now, later=filters.later)
    found = session.execute(ordered.limit(PAGE_SIZE).offset((number - 1) * PAGE_SIZE)).unique().all()
    return CallPage(
        rows=found,
        ranked_by=sorted({_scale_name(protocol) for protocol in used}),
        attempts=attempts(session, [row.Call.id for row in found]),
        callers=_callers(session, found),
        n_now=n_now,
        n_later=n_later,
        filters=replace(filters, page=number),
    )


def _totals(session: Session, rows: Joined, now: datetime) -> tuple[int, int]:
    """Counts the calls that are due and those that are postponed."""
    # count() skips NULL, so one scan gives both figures.
    due = func.count(case((is_postponed(now), None), else_=1))
    postponed = func.count(case((is_postponed(now), 1)))
    n_now, n_later = session.execute(rows.with_only_columns(due, postponed)).one()
    return n_now, n_later


def _ordered(rows: Joined, used: Sequence[Protocol], now: datetime, *, later: bool) -> Joined:
    """SQL: the due calls by urgency, or the postponed ones by the time at which they are due; with severity."""
    severity, urgent = _urgency(used)
    order = (Call.call_again_at, Call.id) if later else urgent
    shown = is_postponed(now) if later else ~is_postponed(now)
    loaded = [joinedload(part) for part in (Subject.identity, Subject.contacts, Subject.site)]
    return rows.where(shown).add_columns(severity.label("severity")).order_by(*order).options(*loaded)


def open_calls() -> Joined:
    """SQL: Call, Visit, Subject and Course of each open call."""
    rows = select(Call, Visit, Subject, Course).join(Visit, Visit.id == Call.visit_id)
    rows = rows.join(Subject, Subject.id == Call.subject_id).join(Course, Course.id == Visit.course_id)
    return rows.where(Call.closed_at.is_(None))


def is_postponed(now: datetime) -> ColumnElement[bool]:
    """SQL: the time to call again has not come. An alert is never postponed."""
    return and_(Call.call_again_at.is_not(None), Call.call_again_at > now, Call.reason != CallReason.ALERT)


def urgency_order(session: Session) -> Order:
    """Returns the ORDER BY terms of the call list, most urgent first, as described at the top of this module."""
    return _urgency(_protocols_called_about(session))[1]


def attempts(session: Session, call_ids: Sequence[int]) -> Mapping[int, Sequence[Row[Any]]]:
    """Returns call id -> its attempts in order: CallAttempt and `caller`, a name or None. One SQL statement."""
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    rows: Joined = select(CallAttempt, Account.display_name.label("caller"))
    rows = rows.outerjoin(Account, Account.id == CallAttempt.account_id).where(CallAttempt.call_id.in_(call_ids))
    for row in session.execute(rows.order_by(CallAttempt.number)):
        found[row.CallAttempt.call_id].append(row)
    return found


def severity_scale(protocol: Protocol) -> tuple[str, Scale]:
    """Returns the instrument code and scale of severity: as the protocol names them, else the first of its baseline."""
    code, _, scale_code = protocol.calls.severity.partition(".")
    if code:
        return code, instrument_catalog.instrument(code).scale(scale_code)
    first = instrument_catalog.instrument(protocol.events[0].battery[0])
    return first.code, first.scales[0]


def _filtered(rows: Joined, account: Account, filters: CallListFilters, now: datetime) -> Joined:
    if filters.site:
        rows = rows.join(Site, Site.id == Subject.site_id).where(Site.code == filters.site)
    if filters.mine:
        claimed = and_(Call.caller_id == account.id, Call.calling_until > now)
        rows = rows.where(or_(_called_last_by(account), claimed))
    return rows


def _called_last_by(account: Account) -> ColumnElement[bool]:
    """SQL: the last attempt at the call was made by this account."""
    newer = aliased(CallAttempt)
    has_newer = exists().where(newer.call_id == CallAttempt.call_id, newer.number > CallAttempt.number)
    return exists().where(CallAttempt.call_id == Call.id, CallAttempt.account_id == account.id, ~has_newer)


def _last_page(total: int) -> int:
    return max((total + PAGE_SIZE - 1) // PAGE_SIZE, 1)


def _protocols_called_about(session: Session) -> list[Protocol]:
    bound = open_calls().with_only_columns(Course.protocol_code, Course.protocol_version).distinct()
    return [protocol_catalog.protocol(*row) for row in session.execute(bound)]


def _urgency(used: Sequence[Protocol]) -> tuple[ColumnElement[Any], Order]:
    """Returns SQL: the severity (baseline score) of a call's course, and the ORDER BY terms of the call list."""
    scores, ranks = [], []
    for protocol in used:
        of_protocol = and_(Course.protocol_code == protocol.code, Course.protocol_version == protocol.version)
        instrument_code, scale = severity_scale(protocol)
        score = _baseline_score(instrument_code, scale)
        scores.append((of_protocol, score))
        # The rank is higher for a worse score, whatever the direction of the scale.
        ranks.append((of_protocol, score if scale.direction == "higher-worse" else -score))
    # A CASE needs at least one branch; without a protocol there is no call to rank.
    severity, rank = (case(*each) if each else null().cast(Float) for each in (scores, ranks))
    alert_at = case((Call.reason == CallReason.ALERT, Call.opened_at))
    order = (alert_at.nulls_last(), Visit.closes_at, rank.desc().nulls_last(), Call.id)
    return severity, order


def _scale_name(protocol: Protocol) -> str:
    code, scale = severity_scale(protocol)
    title = instrument_catalog.scale_title(code, scale.code, instrument_catalog.FALLBACK_LANGUAGE)
    return f"{title}, T" if scale.has_t else title


def _baseline_score(instrument_code: str, scale: Scale) -> Any:
    """SQL: the newest score of the first event of the call's course, as T-score if the scale has one, else raw."""
    first = aliased(Visit)
    response = QuestionnaireResponse
    score = select(Score.t_score if scale.has_t else Score.raw_score)
    score = score.join(response, response.id == Score.response_id).join(first, first.id == response.visit_id)
    score = score.where(
        first.course_id == Course.id,
        first.visit_number == 1,
        response.instrument_code == instrument_code,
        response.status.in_(COUNTED_STATUSES),
        Score.scale_code == scale.code,
    )
    newest = score.order_by(Score.scored_at.desc(), Score.id.desc()).limit(1)
    return newest.correlate(Course).scalar_subquery()


def _callers(session: Session, rows: Sequence[Row[Any]]) -> Mapping[int, str]:
    ids = {row.Call.caller_id for row in rows if row.Call.caller_id is not None}
    if not ids:
        return {}
    names = select(Account.id, Account.display_name).where(Account.id.in_(ids))
    return {row.id: row.display_name for row in session.execute(names)}
