"""No suppressed count of the results page follows from those that its pages show, however they are compared."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import delete
from sqlalchemy.orm import Session

from pro_tracker.domain.disclosure import Suppressed, suppress_small, why_people_hidden
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.services.results.unanswered_counts import Unanswered
from tests.conftest import Clock
from tests.results.test_research_pages import add_figures, cells
from tests.support.reader_of_counts import MANY, Reader
from tests.support.staff_browser import add_account, sign_in

SITES = ("east", "north", "south", "west")
COUNTS = ("n_over", "n_answered", "n_paired", "n_responders")
on_one_database = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def sites(draw: st.DrawFn) -> dict[str, dict[str, int]]:
    """Returns the counts of two to four sites, each count at most the one before it; many of them about 11.

    And how many visits are still open.
    """
    found = {}
    for site in SITES[: draw(st.integers(2, 4))]:
        most = draw(st.sampled_from([8, 10, 11, 14, 22, 40]))
        counts = {}
        for name in COUNTS:
            most = draw(st.integers(max(0, most - 12), most))
            counts[name] = max(most, 1) if name == "n_over" else most
        counts["n_open"] = draw(st.sampled_from([0, 0, 1, 6, 10, 11, 30]))
        found[site] = counts
    return found


@pytest.fixture
def researcher(client: FlaskClient, session: Session) -> FlaskClient:
    sign_in(client, add_account(session, "researcher", *SITES))
    return client


@pytest.mark.dialects("sqlite")
@on_one_database
@given(counts=sites())
def test_no_hidden_count_of_a_site_can_be_computed_from_the_pages(
    researcher: FlaskClient, session: Session, clock: Clock, counts: dict[str, dict[str, int]]
) -> None:
    store(session, clock, counts)
    reader = Reader()
    for site in (*counts, "*"):
        note_page(reader, site, cells(researcher.get(f"/results?site={site}").text, "Last infusion", "Pain inter"))
    for site in (*counts, "*"):
        for lesser, greater in zip(COUNTS[1:], COUNTS, strict=False):
            reader.at_most(f"{lesser} {site}", f"{greater} {site}")
    for name in (*COUNTS, "n_open"):
        reader.sum_of([f"{name} {site}" for site in counts], f"{name} *")
    reader.work_out()
    for site, of_site in counts.items():
        for name, n in of_site.items():
            least, most = reader.range_of(f"{name} {site}")
            assert least <= n <= most
            assert (f"{name} {site}" in reader.shown) or least < most, (name, site, n)


def store(session: Session, clock: Clock, counts: dict[str, dict[str, int]]) -> None:
    session.execute(delete(Aggregate))
    total = {name: sum(of_site[name] for of_site in counts.values()) for name in (*COUNTS, "n_open")}
    for site, shown in {**counts, "*": total}.items():
        of_site = dict(shown)
        of_site["n_expected"] = of_site.pop("n_over") + of_site["n_open"]
        without: dict[str, Any] = {} if of_site["n_answered"] else {"mean": None, "sd": None}
        unpaired: dict[str, Any] = {} if of_site["n_paired"] else {"mean_change": None, "sd_change": None}
        add_figures(session, clock, site, **of_site, **without, **unpaired, n_paired_or_rated=of_site["n_paired"])


def note_page(reader: Reader, site: str, row: list[str]) -> None:
    """Notes what the row of one site, or of all sites, tells about its counts."""
    first, _mean, paired, _change, responders = row
    found = re.match(r"(?:(.+?)(?: \(\d+%\))?)(?: (\d+|fewer than 11|held back) still open)?$", first)
    assert found
    answered = found[1]
    note(reader, f"n_open {site}", found[2] or "0", least=1)
    known = re.match(r"(.+) / (\d+)", answered)
    note(reader, f"n_over {site}", known[2] if known else answered, least=1)
    note(reader, f"n_answered {site}", known[1] if known else "", least=0)
    note(reader, f"n_paired {site}", paired, least=0)
    share = re.match(r"(\d+) / (\d+)", responders)
    # A share that is held back may be few or nearly all.
    note(reader, f"n_responders {site}", share[1] if share else responders.replace("held back", ""), least=0)
    if share:
        reader.note_shown(f"n_paired {site}", int(share[2]))


def note(reader: Reader, name: str, text: str, *, least: int) -> None:
    if text.isdigit():
        reader.note_shown(name, int(text))
    elif text == "fewer than 11":
        reader.note_range(name, least, 10)
    else:
        reader.note_range(name, 11 if text == "held back" else least, MANY)


reasons = st.dictionaries(st.sampled_from("abc"), st.integers(1, 30), max_size=3)


@given(st.lists(st.tuples(reasons, st.integers(0, 14), st.integers(0, 2)), min_size=2, max_size=4))
def test_no_hidden_number_of_answers_follows_from_the_reasons_of_unanswered_visits(
    given_sites: list[tuple[dict[str, int], int, int]],
) -> None:
    """A reader who takes every visit for over: what was asked was answered, or has a reason."""
    by_site = [counts for counts, _answered, _open in given_sites]
    asked = [sum(counts.values()) + answered + still_open for counts, answered, still_open in given_sites]
    limits = [n if answered < 11 else None for n, (_counts, answered, _open) in zip(asked, given_sites, strict=True)]
    pages = {str(i): suppress_small([by_site[i]], asked=[limits[i]]) for i in range(len(by_site))}
    pages["*"] = suppress_small(by_site, asked=limits)
    reader = Reader()
    for site, (shown, others) in pages.items():
        parts = [f"{name} {site}" for name in shown]
        for name, n in shown.items():
            reader.note_shown(f"{name} {site}", n)
        reader.note_range(f"rest {site}", *((others, others) if isinstance(others, int) else (0, MANY)))
        reader.sum_of([*parts, f"rest {site}"], f"ended {site}")
    reader.sum_of([f"ended {i}" for i in range(len(by_site))], "ended *")
    for i, limit in enumerate(limits):
        if limit is None:
            continue
        reader.note_range(f"answered {i}", 0, 10)
        reader.note_shown(f"asked {i}", limit)
        reader.sum_of([f"answered {i}", f"ended {i}"], f"at most asked {i}")
        reader.at_most(f"at most asked {i}", f"asked {i}")
    reader.work_out()
    for i, limit in enumerate(limits):
        if limit is not None and limit >= 11:
            assert reader.range_of(f"answered {i}") == (0, 10)


@st.composite
def people(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int]:
    """Returns people and courses of each site, and the people of all: some have courses at two sites."""
    at_sites = []
    for _ in range(draw(st.integers(1, 4))):
        n = draw(st.sampled_from([3, 10, 11, 12, 30]))
        at_sites.append((n, n + draw(st.sampled_from([0, 0, 1, 10, 11, 15]))))
    most = min(n for n, _courses in at_sites) if len(at_sites) > 1 else 0
    at_two_sites = draw(st.integers(0, most))
    return at_sites, sum(n for n, _courses in at_sites) - at_two_sites


@given(people())
def test_no_few_people_with_several_courses_follow_from_the_numbers_of_people(
    counted: tuple[list[tuple[int, int]], int],
) -> None:
    at_sites, everybody = counted
    reader = Reader()
    pages = {str(i): ([each], each[0]) for i, each in enumerate(at_sites)} | {"*": (at_sites, everybody)}
    for site, (parts, n) in pages.items():
        reader.note_range(f"people {site}", *{"few": (1, 10)}.get(why_people_hidden(n, parts) or "", (11, MANY)))
        if why_people_hidden(n, parts) is None:
            reader.note_shown(f"people {site}", n)
        # The rows above show the courses, by the number of visits whose time is over.
        reader.note_shown(f"courses {site}", sum(courses for _people, courses in parts))
        reader.sum_of([f"people {site}", f"several {site}"], f"courses {site}")
    reader.sum_of(["people *", "at two sites"], "people of the sites")
    reader.sum_of([f"people {i}" for i in range(len(at_sites))], "people of the sites")
    reader.work_out()
    few = {f"several {i}": courses - n for i, (n, courses) in enumerate(at_sites)}
    few["at two sites"] = sum(n for n, _courses in at_sites) - everybody
    few |= {f"people {i}": n for i, (n, _courses) in enumerate(at_sites)}
    for name, n in few.items():
        if 0 < n < 11:
            least, most = reader.range_of(name)
            assert least < most, (name, n)


@given(st.lists(reasons, min_size=1, max_size=4))
def test_no_hidden_reason_follows_where_the_number_of_unanswered_visits_is_shown(
    by_site: list[dict[str, int]],
) -> None:
    """A page that shows answers and visits whose time is over shows how many were not answered, too."""
    pages = {str(i): [counts] for i, counts in enumerate(by_site)} | {"*": by_site}
    reader = Reader()
    names = [*"abc", "another"]
    for site, of_sites in pages.items():
        shown, _others = suppress_small(of_sites)
        total = sum(sum(each.values()) for each in of_sites)
        public = Unanswered(shown, Suppressed.FEW, total).where_answers_are_shown()
        assert public.others == total - sum(shown.values())
        for name, n in shown.items():
            reader.note_shown(f"{name} {site}", n)
        reader.note_shown(f"total {site}", total)
        reader.sum_of([f"{name} {site}" for name in names], f"total {site}")
    for name in names:
        reader.sum_of([f"{name} {i}" for i in range(len(by_site))], f"{name} *")
    reader.work_out()
    for i, counts in enumerate(by_site):
        for name in counts:
            least, most = reader.range_of(f"{name} {i}")
            assert f"{name} {i}" in reader.shown or least < most
