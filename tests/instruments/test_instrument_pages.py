"""Pages about instruments: items, scoring, how far the scoring was verified, and the wording in effect."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import UnknownInstrument
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import library_overview
from tests.support.staff_browser import add_account, sign_in

pytestmark = pytest.mark.dialects("sqlite")
FATIGUE = "promis-fatigue-8a"
RECOMPUTED = "promis-satisfaction-social-roles-4a"


def page_of(client: FlaskClient, session: Session, path: str, role: str = "clinician") -> str:
    sign_in(client, add_account(session, role))
    page = client.get(path)
    assert page.status_code == 200
    return page.text


def rows(page: str, caption: str) -> list[list[str]]:
    """Returns the cells of a table's body, without markup."""
    table = re.search(rf"{re.escape(caption)}</caption>.*?<tbody>(.*?)</table>", page, re.DOTALL)
    assert table, f"no table {caption}"
    return [
        [" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in table[1].split("<tr>")[1:]
    ]


@pytest.mark.parametrize("role", ["coordinator", "clinician", "researcher", "administrator"])
def test_every_role_finds_the_instruments_in_the_menu(client: FlaskClient, session: Session, role: str) -> None:
    page = page_of(client, session, "/instruments", role)
    assert '<a href="/instruments" aria-current="page">Instruments</a>' in page
    assert client.get(f"/instruments/{FATIGUE}").status_code == 200


def test_the_list_shows_how_far_each_instrument_is_verified(client: FlaskClient, session: Session) -> None:
    page = page_of(client, session, "/instruments")
    listed = {row[0]: row for row in rows(page, "Instruments, by title")}
    assert len(listed) == len(instrument_catalog.instruments())
    fatigue = next(row for name, row in listed.items() if name.startswith("PROMIS Fatigue, Short Form 8a"))
    assert fatigue[0].endswith("asked in ketamine-5day")
    assert fatigue[1:7] == ["Checked", "English: not validated Spanish: not validated", "7 days", "8", "1", "1.0"]
    assert "publisher&#39;s written permission" in page.split("<h2>Licenses</h2>")[1]
    roles = next(row for name, row in listed.items() if "Satisfaction" in name and "4a" in name)
    assert (roles[1], roles[3]) == ("Recomputed only", "none named")
    pain = next(row for name, row in listed.items() if name.startswith("Pain intensity"))
    assert pain[1] == "No table"


def test_a_table_that_was_only_recomputed_is_flagged_on_its_page(client: FlaskClient, session: Session) -> None:
    page = page_of(client, session, f"/instruments/{RECOMPUTED}")
    assert "Recomputed only: compare the score table with the publisher" in page.split("<h2>")[0]
    assert "Recomputed only" not in client.get("/instruments/pcs").text


def test_the_page_shows_score_table_bands_and_meaningful_change_with_sources(
    client: FlaskClient, session: Session
) -> None:
    page = page_of(client, session, f"/instruments/{FATIGUE}")
    table = rows(page, "Score table: Fatigue")
    assert table[0] == ["8", "33.1", "4.8"]
    assert table[-1] == ["40", "77.8", "3.7"]
    assert len(table) == 33
    words = " ".join(re.sub("<[^>]+>", " ", page).split())
    assert "One published copy and an independent recomputation agree (T); SE recomputed." in words
    assert "mild: 55 – 60 moderate: 60 – 70 severe: from 70 HealthMeasures score cut points" in words
    assert "Change that matters 5 points; for a group mean 3 points Half a SD (Norman 2003" in words
    assert "All 8 items are needed; where the protocol switches pro-rating on, 4 are enough." in words


def test_the_page_shows_items_with_codes_options_and_scales(client: FlaskClient, session: Session) -> None:
    page = page_of(client, session, f"/instruments/{FATIGUE}")
    items = rows(page, "Items")
    assert [row[0] for row in items] == [item.link_id for item in instrument_catalog.instrument(FATIGUE).items]
    assert items[0][1] == instrument_catalog.text_pack(FATIGUE, "en").items["HI7"]
    assert items[0][2:5] == ["intensity", "the code", "total"]
    assert rows(page, "frequency")[0][::2] == ["1", "LA6270-8"]


def test_a_change_rule_that_depends_on_the_baseline_is_described(client: FlaskClient, session: Session) -> None:
    words = " ".join(re.sub("<[^>]+>", " ", page_of(client, session, "/instruments/pcs")).split())
    assert "8 points, from a baseline up to 30 or 11 points, from a baseline above 30" in words
    assert "detectable change 7.7 – 10.5 points" in words
    assert "Change that matters no agreed threshold" in words


def test_a_scale_that_asks_about_change_shows_its_responder_rule(client: FlaskClient, session: Session) -> None:
    words = " ".join(re.sub("<[^>]+>", " ", page_of(client, session, "/instruments/pgic")).split())
    assert "Responders scores up to 2" in words


@pytest.mark.parametrize("code", [each.code for each in instrument_catalog.instruments()])
def test_every_instrument_has_its_page(client: FlaskClient, session: Session, code: str) -> None:
    page = page_of(client, session, f"/instruments/{code}")
    instrument = instrument_catalog.instrument(code)
    assert len(rows(page, "Items")) == len(instrument.items)
    assert page.count("<h3 ") == len(instrument.scales)


def test_an_unknown_instrument_or_version_is_not_found(client: FlaskClient, session: Session) -> None:
    page_of(client, session, "/instruments/pcs?version=1.0")
    assert client.get("/instruments/horoscope").status_code == 404
    assert client.get("/instruments/pcs?version=99").status_code == 404
    with pytest.raises(UnknownInstrument):
        library_overview.entry(session, "pcs", "99")
