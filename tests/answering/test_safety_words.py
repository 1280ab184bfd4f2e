"""The words of pages about danger: the numbers of the site, and no promise that answers are watched."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.services.clinic import sites
from tests.conftest import Clock
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.patient_browser import Patient, add_patient, answer, begin, get, open_link, post
from tests.support.staff_browser import add_account, add_site, sign_in

SITES = Path(__file__).parents[2] / "config/sites.yaml"
CALL_911 = 'In an emergency, call <a href="tel:911">911</a>.'
CRISIS_LINE = 'you can call or text <a href="tel:988">988</a>, day or night.'
IN_DANGER = 'If you are in danger now, call <a href="tel:911">911</a>.'
EN_PELIGRO = 'Si está en peligro ahora, llame al <a href="tel:911">911</a>.'


@pytest.fixture(autouse=True)
def protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The baseline asks PHQ-9, whose ninth item can open an alert, and the weekly checklist of adverse effects."""
    battery = ("phq-9", "adverse-effects-week")
    with asking_at_baseline(tmp_path, monkeypatch, *battery, plans={code: dict(PLAN) for code in battery}):
        yield


@pytest.fixture
def numbers(client: FlaskClient, session: Session, clock: Clock) -> None:
    """The sites have the numbers of config/sites.yaml, those of the United States. The application comes first."""
    add_site(session)
    sites.sync(session, sites.read(SITES), now=clock.now)


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


@pytest.mark.usefixtures("numbers")
def test_every_page_names_the_emergency_number_of_the_site(client: FlaskClient, patient: Patient) -> None:
    for page in (open_link(client, patient), client.get("/v/unknown")):
        assert CALL_911 in page.text
        assert "Your care team may not see your answers right away." in page.text
        assert "local emergency number" not in page.text


def test_without_a_number_pages_say_local_emergency_number(client: FlaskClient, patient: Patient) -> None:
    assert "In an emergency, call your local emergency number." in open_link(client, patient).text
    begin(client, patient)
    assert "Pressure in your chest now?" in get(client, patient, "item/20").text
    assert "<strong>Call your local emergency number.</strong>" in get(client, patient, "item/20").text
    assert "notice--safety" not in get(client, patient, "item/9").text, "nothing can be said without a number"


def test_a_site_without_a_crisis_line_names_its_emergency_number_alone(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    listed = [each.model_copy(update={"crisis_line": {}}) for each in sites.read(SITES)]
    add_site(session)
    sites.sync(session, listed, now=clock.now)
    patient = add_patient(session, clock.now)
    begin(client, patient)
    item = get(client, patient, "item/9")
    assert IN_DANGER in item.text
    advice = answer(client, item, 3)
    assert CALL_911 in advice.text
    thanks = post(client, get(client, patient, "review"), {})
    for page in (item, advice, thanks):
        assert "988" not in page.text
        assert 'href="tel:"' not in page.text


@pytest.mark.usefixtures("numbers")
def test_an_item_about_self_harm_offers_the_crisis_line_whatever_is_answered(
    client: FlaskClient, patient: Patient
) -> None:
    begin(client, patient)
    for value in (0, 3):
        page = get(client, patient, "item/9")
        assert CRISIS_LINE in page.text
        assert IN_DANGER in page.text
        answer(client, page, value)
    assert "wish you were not alive" in page.text
    assert "notice--safety" not in get(client, patient, "item/8").text


@pytest.mark.usefixtures("numbers")
def test_the_thank_you_page_offers_the_crisis_line_if_the_visit_asked(client: FlaskClient, patient: Patient) -> None:
    answer(client, begin(client, patient), 0)
    thanks = post(client, get(client, patient, "review"), {})
    assert CRISIS_LINE in thanks.text
    assert CALL_911 in thanks.text
    assert "can see them now" not in thanks.text


@pytest.mark.usefixtures("numbers")
def test_spanish_pages_have_the_same_help_and_a_spanish_way_in(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    patient = add_patient(session, clock.now, language="es")
    begin(client, patient)
    page = get(client, patient, "item/9")
    assert 'puede llamar al <a href="tel:988">988</a> de día o de noche (oprima 2 para español)' in page.text
    assert EN_PELIGRO in page.text
    assert "¿Con qué frecuencia deseó no estar con vida, o pensó en hacerse daño?" in page.text
    page = get(client, patient, "item/20")
    assert '<span lang="es">¿Siente presión en el pecho ahora?</span>' in page.text
    assert 'Llame al <a href="tel:911">911</a>.' in page.text


@pytest.mark.usefixtures("numbers")
def test_interviewers_read_the_help_out_too(client: FlaskClient, session: Session, patient: Patient) -> None:
    sign_in(client, add_account(session, "coordinator"))
    visit = f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/telephone"
    assert CRISIS_LINE in client.get(f"{visit}/item/9").text


def test_a_page_without_a_patient_names_no_number_that_only_some_sites_have(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    listed = sites.read(SITES)
    sites.sync(session, [listed[0], listed[1].model_copy(update={"emergency_number": "112"})], now=clock.now)
    session.commit()
    assert "call your local emergency number" in client.get("/v/unknown").text


def test_a_crisis_line_without_words_in_each_language_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sites.yaml"
    path.write_text(SITES.read_text(encoding="utf-8").replace("988 de día", "988, de día").replace("es: >-", "fr: >-"))
    with pytest.raises(InvalidDataFile, match="needs words in 'es' that name the number 988"):
        sites.read(path)


@pytest.mark.parametrize(
    ("page", "data", "sentence"),
    [
        ("item/99", None, "Esa pregunta no existe. Vuelva a la primera página."),
        ("item/1", {"answer": "99"}, "Elija una de las respuestas."),
        ("review", {}, "Todavía no hay respuestas para enviar. Responda a la primera pregunta."),
    ],
)
def test_a_spanish_reader_meets_no_english_when_something_failed(
    client: FlaskClient, session: Session, clock: Clock, page: str, data: dict[str, str] | None, sentence: str
) -> None:
    patient = add_patient(session, clock.now, language="es")
    first = begin(client, patient)
    if data is None:
        found = get(client, patient, page)
    else:
        address = get(client, patient, page).request.path
        token = first.text.partition('name="csrf_token" value="')[2].partition('"')[0]
        found = client.post(address, data={"csrf_token": token, **data})
    assert sentence in found.text
