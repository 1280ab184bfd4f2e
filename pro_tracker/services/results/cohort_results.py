"""The cohort results as one account may see them: per study event a row for each scale, small cells left out.

Reads the figures that aggregates.py keeps and computes none; only the reasons of unanswered visits are counted on
request. None in a row is a suppressed figure, and the page says so.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.disclosure import Count, total_gives_away
from pro_tracker.domain.instrument import Instrument, Scale
from pro_tracker.domain.protocol import StudyEvent
from pro_tracker.models.account import Account
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.site import Site
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results import export_rows, unanswered_counts
from pro_tracker.services.results.aggregates import ALL_SITES
from pro_tracker.services.results.unanswered_counts import NONE_UNANSWERED, Unanswered

Key = tuple[str, str, str, str]  # protocol, event, instrument and scale code
Parts = dict[Key, list[Aggregate]]  # the single sites' rows behind a row of all sites


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over `n` people with its sample SD."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One scale at one event. None: too few people to show it, or (see the flags) there is no such figure."""

    instrument: Instrument
    scale: Scale
    title: str
    text_validated: bool
    has_change: bool
    has_responders: bool
    expected: Count | None
    answered: Count | None
    scores: Spread | None
    changes: Spread | None
    responders: Count | None


@dataclass(frozen=True, slots=True)
class EventResults:
    """One study event and the rows of its battery, and why visits ended without answers."""

    event: StudyEvent
    rows: tuple[ResultRow, ...]
    unanswered: Unanswered


@dataclass(frozen=True, slots=True)
class Results:
    """What the page shows: the sites to choose from, the one chosen, its figures and how old they are."""

    choices: tuple[tuple[str, str], ...]  # site code and name; "*" is all sites
    chosen: str
    events: tuple[EventResults, ...]
    refreshed_at: datetime | None
    left_out: int  # subjects of these sites who withdrew their data


def results(session: Session, account: Account, chosen: str = "") -> Results:
    """The figures of one of the account's sites, or of all sites where the account has them all."""
    choices = _choices(session, account)
    code = chosen if chosen in dict(choices) else next((code for code, _name in choices), "")
    figures = session.scalars(select(Aggregate).order_by(Aggregate.protocol_code, Aggregate.visit_number)).all()
    mine = [row for row in figures if row.site_code == code]
    parts: Parts = defaultdict(list)
    for row in figures:
        if code == ALL_SITES and row.site_code != ALL_SITES:
            parts[_key(row)].append(row)
    refreshed_at = max((row.refreshed_at for row in mine), default=None)
    unanswered = unanswered_counts.by_event(session, [site.code for site in account.sites], code)
    site_ids = [site.id for site in account.sites if code in (ALL_SITES, site.code)]
    left_out = export_rows.count_left_out(session, site_ids)
    return Results(choices, code, tuple(_events(mine, parts, unanswered)), refreshed_at, left_out)


def _choices(session: Session, account: Account) -> tuple[tuple[str, str], ...]:
    sites = tuple((site.code, site.name) for site in account.sites)
    has_every = set(session.scalars(select(Site.code))) == {code for code, _name in sites}
    return ((ALL_SITES, ""), *sites) if has_every and len(sites) > 1 else sites


def _key(row: Aggregate) -> Key:
    return row.protocol_code, row.event_code, row.instrument_code, row.scale_code


def _events(
    mine: Sequence[Aggregate], parts: Parts, unanswered: Mapping[tuple[str, str], Unanswered]
) -> Iterator[EventResults]:
    """The events in the order of the protocol, in each the scales in the order they are asked."""
    rows = {_key(row): row for row in mine}
    for protocol_code, event_code in dict.fromkeys((row.protocol_code, row.event_code) for row in mine):
        protocol = protocol_catalog.protocol(protocol_code)
        event = protocol.event(event_code)
        found = [
            _result(instrument, protocol.with_study_rule(instrument.code, scale), rows[key], parts[key])
            for instrument in map(instrument_catalog.instrument, event.battery)
            for scale in instrument.scales
            if (key := (protocol_code, event_code, instrument.code, scale.code)) in rows
        ]
        yield EventResults(event, tuple(found), unanswered.get((protocol_code, event_code), NONE_UNANSWERED))


def _result(instrument: Instrument, scale: Scale, row: Aggregate, parts: Sequence[Aggregate]) -> ResultRow:
    may = {name: _may_show(count, row, parts) for name, count in COUNTS.items()}
    follow_up = row.visit_number > 1
    return ResultRow(
        instrument=instrument,
        scale=scale,
        title=instrument_catalog.scale_title(instrument.code, scale.code, instrument_catalog.FALLBACK_LANGUAGE),
        text_validated=row.n_unvalidated == 0,
        has_change=follow_up and scale.responder_rule is None,
        has_responders=follow_up and (scale.responder_rule or scale.change_rule) is not None,
        expected=Count(row.n_expected) if may["expected"] else None,
        answered=Count(row.n_answered, row.n_expected) if may["answered"] and may["expected"] else None,
        scores=_spread(row.n_answered, row.mean, row.sd) if may["answered"] else None,
        changes=_spread(row.n_paired, row.mean_change, row.sd_change) if may["paired"] else None,
        responders=COUNTS["responders"](row) if may["responders"] else None,
    )


COUNTS: dict[str, Callable[[Aggregate], Count]] = {
    "expected": lambda row: Count(row.n_expected),
    # Not as a share of the expected: that some did not answer tells nothing about their health.
    "answered": lambda row: Count(row.n_answered),
    "paired": lambda row: Count(row.n_paired),
    "responders": lambda row: Count(row.n_responders, row.n_paired_or_rated),
}


def _may_show(count: Callable[[Aggregate], Count], row: Aggregate, parts: Sequence[Aggregate]) -> bool:
    return not count(row).is_small and not total_gives_away(map(count, parts))


def _spread(n: int, mean: float | None, sd: float | None) -> Spread | None:
    return None if mean is None else Spread(n, mean, sd)
