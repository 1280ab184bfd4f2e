"""The results page and its files: access by site and role, and suppression of small cells."""

import csv
import io
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.disclosure import Count, total_reveals_small
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.subject import Subject
from pro_tracker.services.results import exports
from tests.conftest import Clock
from tests.support.history_builder import NRS, PCS, PGIC, PI, treated
from tests.support.staff_browser import add_account, add_site, sign_in

EVENTS = {"baseline": 1, "last-infusion": 2, "3-months": 3}


def add_figures(session: Session, clock: Clock, site: str, **figures: Any) -> Aggregate:
    """Adds figures of Pain Interference at the last infusion, with `figures` changed."""
    known: dict[str, Any] = {
        "event_code": "last-infusion",
        "instrument_code": PI,
        "scale_code": "total",
        "n_expected": 60,
        "n_answered": 50,
        "mean": 61.27,
        "sd": 6.04,
        "n_paired": 45,
        "mean_change": -2.04,
        "sd_change": 4.4,
        "n_paired_or_rated": 45,
        "n_responders": 18,
        **figures,
    }
    known.setdefault("n_unvalidated", min(1, known["n_answered"]))
    number = EVENTS[known["event_code"]]
    row = Aggregate(protocol_code="ketamine-5day", site_code=site, visit_number=number, refreshed_at=clock.now, **known)
    session.add(row)
    session.commit()
    return row


def cells(page: str, event: str, scale: str) -> list[str]:
    """Returns the text of the cells of the row of a scale in the table of an event."""
    table = page.partition(f"<h2>{event}</h2>")[2].partition("</table>")[0]
    for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL):
        found = [
            " ".join(re.sub(r"<[^>]+>", "", cell).split())
            for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
        ]
        if found[0].startswith(scale):
            return found[1:]
    raise AssertionError(f"no row {scale} under {event}")


def test_a_researcher_reads_figures_with_numerators_and_denominators(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    add_figures(session, clock, "north")
    sign_in(client, add_account(session, "researcher", "north"))
    page = client.get("/results").text
    expected = ["50 / 60 (83%)", "61.3 (6.0)", "45", "−2.0 (4.4)", "18 / 45 (40%)"]
    assert cells(page, "Last infusion", "Pain interference") == expected
    assert "regression to the mean" in page
    assert "wording not validated" in page


def test_figures_of_validated_wording_alone_carry_no_mark(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_figures(session, clock, "north", n_unvalidated=0)
    sign_in(client, add_account(session, "researcher", "north"))
    assert "wording not validated" not in client.get("/results").text


def test_a_baseline_has_no_change(client: FlaskClient, session: Session, clock: Clock) -> None:
    nothing = {"n_paired": 0, "mean_change": None, "sd_change": None, "n_paired_or_rated": 0, "n_responders": 0}
    add_figures(session, clock, "north", event_code="baseline", **nothing)
    sign_in(client, add_account(session, "researcher", "north"))
    assert cells(client.get("/results").text, "Baseline", "Pain interference") == ["50 / 60 (83%)", "61.3 (6.0)"]


def test_scales_say_where_there_is_no_change_or_no_rule(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_figures(
        session, clock, "north", instrument_code=PCS, scale_code="rumination", n_paired_or_rated=0, n_responders=0
    )
    rated = {"n_paired": 0, "mean_change": None, "sd_change": None, "n_paired_or_rated": 50, "n_responders": 20}
    add_figures(session, clock, "north", instrument_code=PGIC, **rated)
    sign_in(client, add_account(session, "researcher", "north"))
    page = client.get("/results").text
    assert cells(page, "Last infusion", "Rumination")[-1] == "–"
    assert cells(page, "Last infusion", "Impression of change")[-3:] == ["–", "–", "20 / 50 (40%)"]


@pytest.mark.parametrize(
    ("figures", "shown"),
    [
        ({"n_expected": 10, "n_answered": 9}, ["fewer than 11", "fewer than 11"]),
        ({"n_answered": 10}, ["fewer than 11 / 60", "fewer than 11"]),
        ({"n_answered": 11}, ["11 / 60 (18%)", "61.3 (6.0)"]),
        ({"n_answered": 0, "mean": None, "sd": None}, ["fewer than 11 / 60", "fewer than 11"]),
    ],
)
@pytest.mark.dialects("sqlite")
def test_fewer_than_eleven_answers_are_not_shown(
    client: FlaskClient, session: Session, clock: Clock, figures: dict[str, Any], shown: list[str]
) -> None:
    few = {"n_paired": 0, "mean_change": None, "sd_change": None, "n_paired_or_rated": 0, "n_responders": 0}
    add_figures(session, clock, "north", **few, **figures)
    sign_in(client, add_account(session, "researcher", "north"))
    row = cells(client.get("/results").text, "Last infusion", "Pain interference")
    assert row == [*shown, "fewer than 11", "fewer than 11", "fewer than 11"]


@pytest.mark.parametrize(
    ("responders", "of", "shown"),
    [
        (10, 45, "held back"),
        (35, 45, "held back"),  # the others are few
        (11, 11, "held back"),  # "fewer than 11" would say of 10 of 11 what "held back" says of 11
        (5, 9, "fewer than 11"),
        (0, 45, "held back"),
        (45, 45, "held back"),
    ],
)
@pytest.mark.dialects("sqlite")
def test_few_responders_or_few_others_are_not_shown(
    client: FlaskClient, session: Session, clock: Clock, responders: int, of: int, shown: str
) -> None:
    add_figures(session, clock, "north", n_paired=of, n_paired_or_rated=of, n_responders=responders)
    sign_in(client, add_account(session, "researcher", "north"))
    assert cells(client.get("/results").text, "Last infusion", "Pain interference")[-1] == shown


def test_a_total_that_would_reveal_a_hidden_site_is_not_shown(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    add_figures(session, clock, "north")
    add_figures(session, clock, "south", n_expected=14, n_answered=5, n_paired=4, n_paired_or_rated=4, n_responders=1)
    add_figures(session, clock, "*", n_expected=74, n_answered=55, n_paired=49, n_paired_or_rated=49, n_responders=19)
    sign_in(client, add_account(session, "researcher", "north", "south"))
    row = cells(client.get("/results?site=*").text, "Last infusion", "Pain interference")
    assert row == ["held back / 74", "held back", "held back", "held back", "held back"]
    north = cells(client.get("/results?site=north").text, "Last infusion", "Pain interference")
    assert north[0] == "50 / 60 (83%)"


def test_ten_answers_of_one_site_do_not_follow_from_those_of_all_sites(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    few = {"n_paired": 0, "mean_change": None, "sd_change": None, "n_paired_or_rated": 0, "n_responders": 0}
    for site, n_expected, n_answered in (("north", 19, 10), ("south", 19, 14), ("*", 38, 24)):
        add_figures(session, clock, site, n_expected=n_expected, n_answered=n_answered, **few)
    sign_in(client, add_account(session, "researcher", "north", "south"))
    pages = {site: client.get(f"/results?site={site}").text for site in ("*", "north", "south")}
    shown = {site: cells(page, "Last infusion", "Pain interference")[:2] for site, page in pages.items()}
    assert shown == {
        "*": ["held back / 38", "held back"],
        "north": ["fewer than 11 / 19", "fewer than 11"],
        "south": ["14 / 19 (74%)", "61.3 (6.0)"],
    }
    for site in ("*", "north"):  # 38 asked less 14 without answers would be 24
        assert 'for any reason <span class="quiet">held back</span>' in pages[site]


def test_a_total_of_responders_does_not_reveal_the_pairs_of_a_hidden_site(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    for site, pairs, responders in (("north", 40, 5), ("south", 8, 6), ("*", 48, 11)):
        add_figures(session, clock, site, n_paired=pairs, n_paired_or_rated=pairs, n_responders=responders)
    sign_in(client, add_account(session, "researcher", "north", "south"))
    row = cells(client.get("/results?site=*").text, "Last infusion", "Pain interference")
    assert row[2:] == ["held back", "held back", "held back"]  # of 48 less the 40 of the one site, 8 are the other's


def test_hidden_sites_that_are_many_together_leave_the_total_shown() -> None:
    assert not total_reveals_small([Count(50), Count(8), Count(9)])
    assert total_reveals_small([Count(50), Count(8)])
    assert total_reveals_small([Count(50), Count(3), Count(4)])
    assert total_reveals_small([Count(20, 45), Count(40, 45)])  # the second has few non-responders
    assert not total_reveals_small([Count(50), Count(11)])
    assert total_reveals_small([Count(50), Count(10), Count(10)])  # 20 of two sites below 11 each is 10 and 10


def test_only_accounts_with_every_site_see_all_sites(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_site(session, "south")
    add_figures(session, clock, "north")
    add_figures(session, clock, "south", n_answered=46)
    add_figures(session, clock, "*", n_expected=120, n_answered=96)
    sign_in(client, add_account(session, "researcher", "north"))
    for address in ("/results", "/results?site=*", "/results?site=south"):
        page = client.get(address).text
        assert cells(page, "Last infusion", "Pain interference")[0] == "50 / 60 (83%)"
        assert "All clinics" not in page
        assert "96 / 120" not in page


def test_an_account_with_every_site_starts_with_all_and_may_choose(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    for site, n_expected, n_answered in (("north", 60, 50), ("south", 60, 46), ("*", 120, 96)):
        add_figures(session, clock, site, n_expected=n_expected, n_answered=n_answered)
    sign_in(client, add_account(session, "researcher", "north", "south"))
    assert cells(client.get("/results").text, "Last infusion", "Pain interference")[0] == "96 / 120 (80%)"
    assert cells(client.get("/results?site=south").text, "Last infusion", "Pain interference")[0] == "46 / 60 (77%)"


def test_events_and_scales_are_in_the_order_of_the_protocol(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    for event in ("3-months", "last-infusion", "baseline"):
        for instrument in (NRS, PI):
            add_figures(session, clock, "north", event_code=event, instrument_code=instrument)
    sign_in(client, add_account(session, "researcher", "north"))
    page = client.get("/results").text
    places = [page.index(f"<h2>{title}</h2>") for title in ("Baseline", "Last infusion", "3 months")]
    assert places == sorted(places)
    table = page[places[0] : places[1]]
    assert table.index("Pain interference") < table.index("Pain intensity")


def test_without_figures_the_page_says_when_they_come(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "researcher", "north"))
    assert "There are no figures yet" in client.get("/results").text


def download(client: FlaskClient, kind: str) -> list[dict[str, str]]:
    with client.get(f"/results/{kind}.csv") as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/csv")
        assert f"cohort-{kind}.csv" in response.headers["Content-Disposition"]
        return list(csv.DictReader(io.StringIO(response.get_data(as_text=True), newline="")))


def add_patients(session: Session, clock: Clock) -> dict[str, Subject]:
    add_site(session, "south")
    patients = {site: treated(session, date(2026, 1, 12), clock.now, site_code=site) for site in ("north", "south")}
    session.commit()
    return patients


@pytest.mark.parametrize("kind", ["long", "wide"])
def test_a_researcher_downloads_the_cohort_of_their_own_sites(
    client: FlaskClient, session: Session, clock: Clock, kind: str
) -> None:
    patients = add_patients(session, clock)
    account = add_account(session, "researcher", "north")
    sign_in(client, account)
    rows = download(client, kind)
    assert {row["USUBJID"] for row in rows} == {patients["north"].study_code}
    session.commit()
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "cohort.export")).one()
    assert event.actor_id == str(account.id)
    assert event.detail == f'{{"kind":"{kind}","sites":[{account.sites[0].id}]}}'


def test_the_codebook_can_be_downloaded(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "researcher", "north"))
    assert {row["FILE"] for row in download(client, "codebook")} == set(exports.KINDS)


def test_an_account_without_a_site_downloads_no_subjects(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_patients(session, clock)
    account = add_account(session, "researcher", "north")
    account.sites = []
    sign_in(client, account)
    assert download(client, "wide") == []
    assert "no clinic yet" in client.get("/results").text


def test_clinicians_see_results_and_cannot_download(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_figures(session, clock, "north")
    sign_in(client, add_account(session, "clinician", "north"))
    page = client.get("/results").text
    assert "Last infusion" in page
    assert "CSV" not in page
    assert client.get("/results/long.csv").status_code == 403


@pytest.mark.parametrize("role", ["coordinator", "administrator"])
@pytest.mark.dialects("sqlite")
def test_other_roles_have_no_results_page(client: FlaskClient, session: Session, role: str) -> None:
    sign_in(client, add_account(session, role, "north"))
    assert client.get("/results").status_code == 403


@pytest.mark.dialects("sqlite")
def test_a_file_that_does_not_exist_is_not_found(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "researcher", "north"))
    assert client.get("/results/everything.csv").status_code == 404


def test_viewing_results_is_audited(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session
) -> None:
    account = add_account(session, "researcher", "north")
    sign_in(client, account)
    client.get("/results")
    session.commit()
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "results.view")).one()
    assert (event.actor_id, event.subject_id) == (str(account.id), None)
    assert another_client().get("/results").status_code == 302
