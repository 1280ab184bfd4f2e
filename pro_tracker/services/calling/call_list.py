"""Reads the call list: the open calls that are due now, or postponed, by page.

The order: alerts first, oldest first; then visits that were begun and not sent; then by the closing of the visit
window; then by severity at baseline.
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
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services import stored_scores
from pro_tracker.services.answering import progress
from pro_tracker.services.answering.progress import Progress
from pro_tracker.services.calling.calls import CaseBranch
from pro_tracker.services.clinic import visibility
from pro_tracker.services.clinic.person import with_person
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

Joined = Select[*tuple[Any, ...]]
Order = tuple[Any, ...]
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class CallListFilters:
    """Choice of the calls to list. `site`: a site code, "" for all. `page` counts from 1.

    `mine`: only calls that the account has claimed or made the last attempt at. `later`: only postponed calls.
    """

    site: str = ""
    mine: bool = False
    later: bool = False
    page: int = 1


@dataclass(frozen=True, slots=True)
class CallPage:
    """One page. `rows`: Call, Visit, Subject (with identity, contacts and site), Course, severity (a score, or None).

    `ranked_by`: the titles of the scales of the severity scores. `progress`: visit id -> what was answered, of visits
    that were begun and not sent. `attempts`: call id -> earlier attempts with the
    caller's name. `callers`: account id -> name. `n_now`, `n_later`: the totals of due and of postponed calls.
    """

    rows: Sequence[Row[Any]]
    ranked_by: Sequence[str]
    progress: Mapping[int, Progress]
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
    """Returns a page of the open calls at the account's sites, in six SQL statements whatever the number of calls."""
    visible = visibility.visible(open_calls(), account)
    rows = _filtered(visible, account, filters, now)
    n_now, n_later = _totals(session, rows, now)
    last = _last_page(n_later if filters.later else n_now)
    number = min(max(filters.page, 1), last)
    used = _protocols_called_about(session)
    ordered = _ordered(rows, used, now, later=filters.later)
    of_page = ordered.limit(PAGE_SIZE).offset((number - 1) * PAGE_SIZE)
    found = session.execute(of_page).unique().all()
    return CallPage(
        rows=found,
        ranked_by=sorted({_scale_name(protocol) for protocol in used}),
        progress=progress.of_visits(session, [row.Visit.id for row in found]),
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
    counts = rows.with_only_columns(due, postponed)
    n_now, n_later = session.execute(counts).one()
    return n_now, n_later


def _ordered(rows: Joined, used: Sequence[Protocol], now: datetime, *, later: bool) -> Joined:
    """SQL: the due calls by urgency, or the postponed ones by the time at which they are due; with severity."""
    severity, urgent = _urgency(used)
    rows = rows.add_columns(severity.label("severity"))
    rows = rows.options(
        joinedload(Subject.identity),
        joinedload(Subject.contacts),
        joinedload(Subject.site),
    )
    if later:
        return rows.where(is_postponed(now)).order_by(Call.call_again_at, Call.id)
    return rows.where(~is_postponed(now)).order_by(*urgent)


def open_calls() -> Joined:
    """SQL: Call, Visit, Subject and Course of each open call."""
    rows = select(Call, Visit, Subject, Course)
    rows = rows.join(Visit, Visit.id == Call.visit_id)
    rows = with_person(rows, Call.subject_id)
    rows = rows.join(Course, Course.id == Visit.course_id)
    return rows.where(Call.closed_at.is_(None))


def is_postponed(now: datetime) -> ColumnElement[bool]:
    """SQL: the time to call again has not come. An alert is never postponed."""
    return and_(
        Call.call_again_at.is_not(None),
        Call.call_again_at > now,
        Call.reason != CallReason.ALERT,
    )


def urgency_order(session: Session) -> Order:
    """Returns the ORDER BY terms of the call list, most urgent first, as described at the top of this module."""
    _, order = _urgency(_protocols_called_about(session))
    return order


def attempts(session: Session, call_ids: Sequence[int]) -> Mapping[int, Sequence[Row[Any]]]:
    """Returns call id -> its attempts in order: CallAttempt and `caller`, a name or None. One SQL statement."""
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    caller = Account.display_name.label("caller")
    rows: Joined = select(CallAttempt, caller)
    rows = rows.outerjoin(Account, Account.id == CallAttempt.account_id)
    rows = rows.where(CallAttempt.call_id.in_(call_ids))
    rows = rows.order_by(CallAttempt.number)
    for row in session.execute(rows):
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
        rows = rows.join(Site, Site.id == Subject.site_id)
        rows = rows.where(Site.code == filters.site)
    if filters.mine:
        called_last = _called_last_by(account)
        claimed = and_(Call.caller_id == account.id, Call.calling_until > now)
        rows = rows.where(or_(called_last, claimed))
    return rows


def _called_last_by(account: Account) -> ColumnElement[bool]:
    """SQL: the last attempt at the call was made by this account."""
    newer = aliased(CallAttempt)
    has_newer = exists().where(
        newer.call_id == CallAttempt.call_id,
        newer.number > CallAttempt.number,
    )
    return exists().where(
        CallAttempt.call_id == Call.id,
        CallAttempt.account_id == account.id,
        ~has_newer,
    )


def _last_page(total: int) -> int:
    return max((total + PAGE_SIZE - 1) // PAGE_SIZE, 1)


def _protocols_called_about(session: Session) -> list[Protocol]:
    columns = (Visit.protocol_code, Visit.protocol_version)
    used = open_calls().with_only_columns(*columns).distinct()
    return [protocol_catalog.protocol(*row) for row in session.execute(used)]


def _urgency(used: Sequence[Protocol]) -> tuple[ColumnElement[Any], Order]:
    """Returns SQL: the severity (baseline score) of a call's course, and the ORDER BY terms of the call list."""
    scores, ranks = [], []
    for protocol in used:
        of_protocol = and_(
            Visit.protocol_code == protocol.code,
            Visit.protocol_version == protocol.version,
        )
        instrument_code, scale = severity_scale(protocol)
        score = _baseline_score(instrument_code, scale)
        scores.append((of_protocol, score))
        # The rank is higher for a worse score, whatever the direction of the scale.
        rank = score if scale.direction == "higher-worse" else -score
        ranks.append((of_protocol, rank))
    alert_at = case((Call.reason == CallReason.ALERT, Call.opened_at))
    begun = exists().where(VisitDraft.visit_id == Visit.id)
    order = (
        alert_at.nulls_last(),
        case((begun, 0), else_=1),
        Visit.closes_at,
        _case(ranks).desc().nulls_last(),
        Call.id,
    )
    return _case(scores), order


def _case(branches: Sequence[CaseBranch]) -> ColumnElement[Any]:
    """SQL: CASE, which needs at least one branch; NULL without one, since without a protocol no call is ranked."""
    return case(*branches) if branches else null().cast(Float)


def _scale_name(protocol: Protocol) -> str:
    code, scale = severity_scale(protocol)
    title = instrument_catalog.scale_title(code, scale.code, instrument_catalog.FALLBACK_LANGUAGE)
    return f"{title}, T" if scale.has_t else title


def _baseline_score(instrument_code: str, scale: Scale) -> Any:
    """SQL: the newest score of the first event of the call's course, as T-score if the scale has one, else raw."""
    first = aliased(Visit)
    response = QuestionnaireResponse
    score = select(Score.t_score if scale.has_t else Score.raw_score)
    score = score.join(response, response.id == Score.response_id)
    score = score.join(first, first.id == response.visit_id)
    score = score.where(
        first.course_id == Course.id,
        first.visit_number == 1,
        response.instrument_code == instrument_code,
        stored_scores.is_counted(response),
        Score.scale_code == scale.code,
    )
    newest = score.order_by(Score.scored_at.desc(), Score.id.desc()).limit(1)
    return newest.correlate(Course).scalar_subquery()


def _callers(session: Session, rows: Sequence[Row[Any]]) -> Mapping[int, str]:
    ids = {row.Call.caller_id for row in rows} - {None}
    if not ids:
        return {}
    names = select(Account.id, Account.display_name)
    names = names.where(Account.id.in_(ids))
    return dict(iter(session.execute(names)))
