"""The cohort results as one account may see them: per study event a row for each scale, small cells suppressed.

Reads the figures that aggregates.py stores and computes none; only the reasons of unanswered visits are counted on
request. None in a row is a suppressed figure.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.disclosure import Count, total_reveals_small
from pro_tracker.domain.instrument import Instrument, Scale
from pro_tracker.domain.protocol import Protocol, StudyEvent
from pro_tracker.models.account import Account
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.site import Site
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results import export_rows, unanswered_counts
from pro_tracker.services.results.aggregates import ALL_SITES
from pro_tracker.services.results.unanswered_counts import NONE_UNANSWERED, Unanswered

Key = tuple[str, str, str, str]  # protocol, event, instrument and scale code
Parts = Mapping[Key, Sequence[Aggregate]]  # the rows of the single sites behind a row of all sites


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over `n` people with its sample SD."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One scale at one event. None: suppressed, or (see the flags) the scale has no such figure."""

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
    """One study event with the rows of its battery and the reasons of its unanswered visits."""

    event: StudyEvent
    rows: tuple[ResultRow, ...]
    unanswered: Unanswered


@dataclass(frozen=True, slots=True)
class Results:
    """The content of the page: the sites to choose from, the chosen one, its figures and their age."""

    choices: tuple[tuple[str, str], ...]  # site code and name; "*" is all sites
    chosen: str
    events: tuple[EventResults, ...]
    refreshed_at: datetime | None
    excluded: int  # subjects of these sites who withdrew their data


def results(session: Session, account: Account, chosen: str = "") -> Results:
    """The figures of one of the account's sites, or of all sites where the account has them all.

    `chosen` is a site code or "*"; any other value selects the first site.
    """
    choices = _choices(session, account)
    code = chosen if chosen in dict(choices) else next((code for code, _name in choices), "")
    figures = session.scalars(select(Aggregate).order_by(Aggregate.protocol_code, Aggregate.visit_number)).all()
    shown = [row for row in figures if row.site_code == code]
    parts = _parts(figures) if code == ALL_SITES else {}
    unanswered = unanswered_counts.by_event(session, [site.code for site in account.sites], code)
    site_ids = [site.id for site in account.sites if code in (ALL_SITES, site.code)]
    return Results(
        choices=choices,
        chosen=code,
        events=tuple(_events(shown, parts, unanswered)),
        refreshed_at=max((row.refreshed_at for row in shown), default=None),
        excluded=export_rows.count_excluded(session, site_ids),
    )


def _parts(figures: Iterable[Aggregate]) -> Parts:
    """The rows of the single sites by the key of their row of all sites."""
    parts: dict[Key, list[Aggregate]] = defaultdict(list)
    for row in figures:
        if row.site_code != ALL_SITES:
            parts[_key(row)].append(row)
    return parts


def _choices(session: Session, account: Account) -> tuple[tuple[str, str], ...]:
    """Code and name of the account's sites; all sites together come first where the account has every site."""
    sites = tuple((site.code, site.name) for site in account.sites)
    has_every_site = set(session.scalars(select(Site.code))) == {code for code, _name in sites}
    if has_every_site and len(sites) > 1:
        return ((ALL_SITES, ""), *sites)
    return sites


def _key(row: Aggregate) -> Key:
    return row.protocol_code, row.event_code, row.instrument_code, row.scale_code


def _events(
    shown: Sequence[Aggregate], parts: Parts, unanswered: Mapping[tuple[str, str], Unanswered]
) -> Iterator[EventResults]:
    """The events in the order of the protocol, in each the scales in the order of its battery."""
    rows = {_key(row): row for row in shown}
    for protocol_code, event_code in dict.fromkeys((row.protocol_code, row.event_code) for row in shown):
        protocol = protocol_catalog.protocol(protocol_code)
        event = protocol.event(event_code)
        results = tuple(_event_rows(protocol, event, rows, parts))
        yield EventResults(event, results, unanswered.get((protocol_code, event_code), NONE_UNANSWERED))


def _event_rows(
    protocol: Protocol, event: StudyEvent, rows: Mapping[Key, Aggregate], parts: Parts
) -> Iterator[ResultRow]:
    """A row for each scale of the event's battery that has figures."""
    for instrument in map(instrument_catalog.instrument, event.battery):
        for scale in instrument.scales:
            key = (protocol.code, event.code, instrument.code, scale.code)
            if key in rows:
                judged = protocol.with_study_rule(instrument.code, scale)
                yield _result(instrument, judged, rows[key], parts.get(key, ()))


def _result(instrument: Instrument, scale: Scale, row: Aggregate, parts: Sequence[Aggregate]) -> ResultRow:
    may = {name: _may_show(count, row, parts) for name, count in COUNTS.items()}
    is_follow_up = row.visit_number > 1
    return ResultRow(
        instrument=instrument,
        scale=scale,
        title=instrument_catalog.scale_title(instrument.code, scale.code, instrument_catalog.FALLBACK_LANGUAGE),
        text_validated=row.n_unvalidated == 0,
        has_change=is_follow_up and scale.responder_rule is None,
        has_responders=is_follow_up and (scale.responder_rule or scale.change_rule) is not None,
        expected=Count(row.n_expected) if may["expected"] else None,
        answered=Count(row.n_answered, row.n_expected) if may["answered"] and may["expected"] else None,
        scores=_spread(row.n_answered, row.mean, row.sd) if may["answered"] else None,
        changes=_spread(row.n_paired, row.mean_change, row.sd_change) if may["paired"] else None,
        responders=COUNTS["responders"](row) if may["responders"] else None,
    )


COUNTS: dict[str, Callable[[Aggregate], Count]] = {
    "expected": lambda row: Count(row.n_expected),
    # Not as a share of the expected: the number who did not answer discloses nothing about their health.
    "answered": lambda row: Count(row.n_answered),
    "paired": lambda row: Count(row.n_paired),
    "responders": lambda row: Count(row.n_responders, row.n_paired_or_rated),
}


def _may_show(count: Callable[[Aggregate], Count], row: Aggregate, parts: Sequence[Aggregate]) -> bool:
    """Whether a count may be shown: it is not small, and small counts of single sites do not follow from it."""
    if count(row).is_small:
        return False
    return not total_reveals_small(map(count, parts))


def _spread(n: int, mean: float | None, sd: float | None) -> Spread | None:
    return None if mean is None else Spread(n, mean, sd)
