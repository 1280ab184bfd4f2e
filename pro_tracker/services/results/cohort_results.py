"""The cohort results as one account may see them: per study event a row for each scale, small cells suppressed.

Reads the figures that aggregates.py stores and computes none; only people, and the reasons of unanswered visits, are
counted on request. None in a row is a suppressed figure; `why` has the reason.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.disclosure import MINIMUM_SHOWN, Count, Suppressed, why_hidden
from pro_tracker.domain.instrument import Instrument, Scale
from pro_tracker.domain.protocol import Protocol, StudyEvent
from pro_tracker.models.account import Account
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.site import Site
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results import export_rows, people_counts, unanswered_counts
from pro_tracker.services.results.aggregates import ALL_SITES
from pro_tracker.services.results.assessments import EventKey
from pro_tracker.services.results.people_counts import People
from pro_tracker.services.results.unanswered_counts import NONE_UNANSWERED, Unanswered

Key = tuple[EventKey, int, str, str]  # event, its occurrence, instrument and scale code
Parts = Mapping[Key, Sequence[Aggregate]]  # the rows of the single sites behind a row of all sites


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over `n` people with its sample SD."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One scale at one event. None: suppressed, or (see the flags) the scale has no such figure.

    `over`: visits that were answered, or whose time is over; `still_open`: visits that can still be answered.
    """

    instrument: Instrument
    scale: Scale
    title: str
    text_validated: bool
    has_change: bool
    has_responders: bool
    over: Count | None
    answered: Count | None
    still_open: Count | None
    scores: Spread | None
    changes: Spread | None
    responders: Count | None
    why: Mapping[str, Suppressed]  # name of a suppressed count (see COUNTS) -> why it is not shown


@dataclass(frozen=True, slots=True)
class EventResults:
    """One study event with the rows of its battery and the reasons of its unanswered visits.

    `occurrence` counts an event that comes several times in a course; 0 for one that comes once. The last one has the
    reasons and the people of all; `people` is None without visits whose time is over.
    """

    event: StudyEvent
    occurrence: int
    rows: tuple[ResultRow, ...]
    unanswered: Unanswered
    people: People | None


class _Counted(NamedTuple):
    """Counts made on request, by event."""

    unanswered: Mapping[EventKey, Unanswered]
    people: Mapping[EventKey, People]
    asked: Mapping[EventKey, Mapping[str, int]]  # of the sites that hide how many were answered

    def reasons(self, event: EventKey) -> Unanswered:
        found = self.unanswered.get(event, NONE_UNANSWERED)
        return found if event in self.asked else found.where_answers_are_shown()


@dataclass(frozen=True, slots=True)
class Results:
    """The content of the page: the sites to choose from, the chosen one, its figures and their age."""

    choices: tuple[tuple[str, str], ...]  # site code and name; "*" is all sites
    chosen: str
    studies: tuple[Protocol, ...]  # the protocols with figures, by code; the figures are those of one of them
    study: Protocol | None
    events: tuple[EventResults, ...]
    refreshed_at: datetime | None
    excluded: int  # subjects of these sites who withdrew their data


def results(session: Session, account: Account, chosen: str = "", study: str = "", *, now: datetime) -> Results:
    """The figures of one study at one of the account's sites, or at all sites where the account has them all.

    `chosen` is a site code or "*", `study` the code of a protocol; any other value selects the first.
    """
    choices = _choices(session, account)
    code = _selected(choices, chosen)
    studies = used_studies(session)
    protocol = next((each for each in studies if each.code == study), studies[0] if studies else None)
    figures = _figures(session, protocol)
    shown = [row for row in figures if row.site_code == code]
    parts = _parts(figures) if code == ALL_SITES else {}
    sites = [site.code for site in account.sites] if code == ALL_SITES else [code]
    asked = _asked_with_few_answers(figures, sites)
    counts = _Counted(
        unanswered_counts.by_event(session, sites, asked),
        people_counts.by_event(session, _code_of(protocol), sites, now=now),
        asked,
    )
    site_ids = [site.id for site in account.sites if code in (ALL_SITES, site.code)]
    return Results(
        choices=choices,
        chosen=code,
        studies=studies,
        study=protocol,
        events=tuple(_events(shown, parts, counts)),
        refreshed_at=max((row.refreshed_at for row in shown), default=None),
        excluded=export_rows.count_excluded(session, site_ids),
    )


def used_studies(session: Session) -> tuple[Protocol, ...]:
    """The protocols that have figures or courses, each in its newest version, by code."""
    with_figures = select(Aggregate.protocol_code).distinct()
    codes = set(session.scalars(with_figures))
    codes.update(export_rows.used_codes(session))
    in_order = sorted(codes)
    return tuple(map(protocol_catalog.protocol, in_order))


def _figures(session: Session, protocol: Protocol | None) -> Sequence[Aggregate]:
    stored = select(Aggregate).where(Aggregate.protocol_code == _code_of(protocol))
    stored = stored.order_by(Aggregate.visit_number, Aggregate.occurrence)
    return session.scalars(stored).all()


def _code_of(protocol: Protocol | None) -> str:
    return protocol.code if protocol else ""


def _selected(choices: Sequence[tuple[str, str]], chosen: str) -> str:
    """The chosen site code, or the first where that is none of the choices; empty without any choice."""
    codes = [code for code, _name in choices]
    if chosen in codes:
        return chosen
    return codes[0] if codes else ""


def _parts(figures: Iterable[Aggregate]) -> Parts:
    """The rows of the single sites by the key of their row of all sites."""
    parts: dict[Key, list[Aggregate]] = defaultdict(list)
    for row in figures:
        if row.site_code != ALL_SITES:
            parts[_key(row)].append(row)
    return parts


def _asked_with_few_answers(figures: Iterable[Aggregate], sites: Sequence[str]) -> Mapping[EventKey, Mapping[str, int]]:
    """Event -> site code -> visits whose time is over, of these sites that hide how many of them were answered."""
    rows: dict[tuple[EventKey, str, int], list[Aggregate]] = defaultdict(list)
    for row in figures:
        if row.site_code in sites:
            rows[_event_key(row), row.site_code, row.occurrence].append(row)
    asked: dict[EventKey, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (event, site, _occurrence), scales in rows.items():
        if max(row.n_answered for row in scales) < MINIMUM_SHOWN:
            asked[event][site] += max(row.n_over for row in scales)
    return asked


def _choices(session: Session, account: Account) -> tuple[tuple[str, str], ...]:
    """Code and name of the account's sites; all sites together come first where the account has every site."""
    sites = tuple((site.code, site.name) for site in account.sites)
    own_codes = {code for code, _name in sites}
    all_codes = set(session.scalars(select(Site.code)))
    if own_codes == all_codes and len(sites) > 1:
        return ((ALL_SITES, ""), *sites)
    return sites


def _event_key(row: Aggregate) -> EventKey:
    return row.protocol_code, row.event_code


def _key(row: Aggregate) -> Key:
    return _event_key(row), row.occurrence or 1, row.instrument_code, row.scale_code


def _events(shown: Sequence[Aggregate], parts: Parts, counted: "_Counted") -> Iterator[EventResults]:
    """The events in the order of the protocol, in each the scales in the order of its battery."""
    rows = {_key(row): row for row in shown}
    occurrences: dict[EventKey, list[int]] = defaultdict(list)
    for key, occurrence in dict.fromkeys((event, n) for event, n, *_scale in rows):
        occurrences[key].append(occurrence)
    for key, numbers in occurrences.items():
        protocol = protocol_catalog.newest_with(*key)
        event = protocol.event(key[1])
        for number in numbers:
            is_last = number == numbers[-1]
            yield EventResults(
                event=event,
                occurrence=number if len(numbers) > 1 else 0,
                rows=tuple(_event_rows(protocol, event, number, rows, parts)),
                unanswered=counted.reasons(key) if is_last else NONE_UNANSWERED,
                people=counted.people.get(key) if is_last else None,
            )


def _event_rows(
    protocol: Protocol, event: StudyEvent, occurrence: int, rows: Mapping[Key, Aggregate], parts: Parts
) -> Iterator[ResultRow]:
    """A row for each scale of the event's battery that has figures."""
    for instrument in map(instrument_catalog.instrument, event.battery):
        for scale in instrument.scales:
            of_scale = ((protocol.code, event.code), occurrence, instrument.code, scale.code)
            if of_scale in rows:
                judged = protocol.with_study_rule(instrument.code, scale)
                yield _result(instrument, judged, rows[of_scale], parts.get(of_scale, ()))


def _result(instrument: Instrument, scale: Scale, row: Aggregate, parts: Sequence[Aggregate]) -> ResultRow:
    why = dict(_hidden(row, parts))
    is_follow_up = row.visit_number > 1
    title = instrument_catalog.scale_title(instrument.code, scale.code, instrument_catalog.FALLBACK_LANGUAGE)
    return ResultRow(
        instrument=instrument,
        scale=scale,
        title=title,
        text_validated=row.n_unvalidated == 0,
        has_change=is_follow_up and scale.responder_rule is None,
        has_responders=is_follow_up and (scale.responder_rule or scale.change_rule) is not None,
        over=None if "over" in why else Count(row.n_over),
        answered=None if "answered" in why or "over" in why else Count(row.n_answered, row.n_over),
        still_open=None if "open" in why else Count(row.n_open or 0),
        scores=None if "answered" in why else _spread(row.n_answered, row.mean, row.sd),
        changes=None if "paired" in why else _spread(row.n_paired, row.mean_change, row.sd_change),
        responders=None if "responders" in why else COUNTS["responders"](row),
        why=why,
    )


COUNTS: dict[str, Callable[[Aggregate], Count]] = {
    "over": lambda row: Count(row.n_over),
    # Not as a share of the expected: the number who did not answer discloses nothing about their health.
    "answered": lambda row: Count(row.n_answered),
    "paired": lambda row: Count(row.n_paired),
    "responders": lambda row: Count(row.n_responders, row.n_paired_or_rated),
}


def _hidden(row: Aggregate, parts: Sequence[Aggregate]) -> Iterator[tuple[str, Suppressed]]:
    """Yields each count that must not be shown, with the reason."""
    for name, count in COUNTS.items():
        why = why_hidden(count(row), [count(part) for part in parts])
        if why is None and name == "responders":
            # Their denominator is mostly the number of pairs: where that is held back, it must not stand here.
            why = why_hidden(Count(row.n_paired_or_rated), [Count(part.n_paired_or_rated) for part in parts])
        if why is not None:
            yield name, why
    # That nothing is open discloses no person.
    with_open = [Count(part.n_open) for part in parts if part.n_open]
    why = why_hidden(Count(row.n_open), with_open) if row.n_open else None
    if why is not None:
        yield "open", why


def _spread(n: int, mean: float | None, sd: float | None) -> Spread | None:
    if mean is None:
        return None
    return Spread(n, mean, sd)
