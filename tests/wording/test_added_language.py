"""A language that a clinic adds by files in its data folder: pages, messages, STOP, calls, and what `check` says."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import SERVICE_SETTINGS, Settings, load_settings
from pro_tracker.app import create_app
from pro_tracker.cli.check import check
from pro_tracker.cli.text_pack import text_pack
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.channels import Channel
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import channels_in_service
from pro_tracker.services.instruments import data_files
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.courses import CourseStartFacts
from pro_tracker.web.assets import MissingAssets
from tests.conftest import Clock
from tests.servers.smtp import SmtpServer
from tests.servers.twilio import TwilioServer
from tests.support import third_language
from tests.support.calling_installation import TextRecorder, write_protocol
from tests.support.course_builder import add_subject
from tests.support.patient_browser import add_patient, give_birth_date, open_link
from tests.support.second_study import forget_files
from tests.support.sending_fixtures import DUE, START, SendingHarness, at
from tests.support.staff_browser import add_account, sign_in
from tests.support.webhook_client import TOKEN, post_from_twilio, post_incoming_text, states, with_secrets
from worker.providers import open_providers

STUDY = "ketamine-5day"
pytestmark = pytest.mark.dialects("sqlite")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder with the files of Portuguese, and a protocol that places calls."""
    folder = tmp_path / "data"
    folder.mkdir()
    third_language.add(folder)
    write_protocol(folder)
    forget_files()
    yield folder
    data_files.set_data_folder(None)
    channels_in_service.set_channels_in_service((Channel.EMAIL, Channel.SMS))
    forget_files()


@pytest.fixture
def environment(environment: dict[str, str], folder: Path, twilio_api: TwilioServer) -> dict[str, str]:
    twilio_api.token = TOKEN
    values = {
        "DATA_FOLDER": str(folder),
        "SITES_FILE": str(third_language.write_sites(folder)),
        "VOICE_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": twilio_api.account,
        "TWILIO_URL": twilio_api.url,
        "TWILIO_VOICE_FROM": "+12125550100",
    }
    return with_secrets(environment) | {f"PRO_TRACKER_{name}": value for name, value in values.items()}


@pytest.fixture
def texts() -> TextRecorder:
    return TextRecorder()


@pytest.fixture
def post(
    client: FlaskClient, session: Session, clock: Clock, smtp_server: SmtpServer, texts: TextRecorder
) -> Iterator[SendingHarness]:
    with open_providers(load_settings(*SERVICE_SETTINGS)) as providers:
        yield SendingHarness(session, clock, smtp_server, {**providers, Channel.SMS: texts})


def enrol(session: Session, clock: Clock, **facts: str) -> Course:
    """Enrols a patient who reads Portuguese and whose first message is due."""
    clock.set(at(3, 2, 10))
    with_calls = protocol_catalog.protocols()[0]
    facts = {"language": third_language.CODE, **facts}
    subject = add_subject(session, clock.now, protocol=with_calls.code, **facts)
    course = courses.start_course(session, subject, CourseStartFacts(with_calls, START), now=clock.now)
    session.commit()
    clock.set(DUE)
    return course


def said(twiml: str) -> list[tuple[str, str]]:
    """Returns what is said in a call, as (voice, words)."""
    return [(each.attrib["language"], each.text or "") for each in ElementTree.fromstring(twiml).iter("Say")]


def test_the_first_page_offers_it_and_the_questions_follow(client: FlaskClient, session: Session, clock: Clock) -> None:
    page = open_link(client, add_patient(session, clock.now, protocol=STUDY))
    address = f"{page.request.path}?page_language=pt"
    assert f'<a href="{address}" lang="pt" dir="ltr" hreflang="pt">Português</a>' in page.text
    page = client.get(address)
    assert '<html lang="pt" dir="ltr">' in page.text
    assert "Qual é a sua data de nascimento?" in page.text
    question = give_birth_date(client, page)
    assert third_language.QUESTION in question.text
    assert session.scalars(select(Subject.language)).one() == "pt"


def test_staff_read_its_name_and_can_choose_it(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_patient(session, clock.now, protocol=STUDY, language="pt")
    sign_in(client, add_account(session, Role.COORDINATOR, "north"))
    assert ">Portuguese</label>" in client.get("/subjects/new").text


def test_mail_goes_out_in_it(session: Session, clock: Clock, post: SendingHarness) -> None:
    enrol(session, clock, mobile="")
    assert post.sweep() == ["sent"]
    mail = post.server.accepted[0]
    assert mail.message["Subject"] == "North Clinic: perguntas para você"
    assert mail.message["Content-Language"] == "pt"
    assert "Até 20 de março de 2026." in mail.text


def test_a_call_is_read_in_its_voice_and_the_text_with_the_link_is_in_it(
    client: FlaskClient,
    session: Session,
    clock: Clock,
    post: SendingHarness,
    twilio_api: TwilioServer,
    texts: TextRecorder,
) -> None:
    enrol(session, clock)
    assert post.sweep() == ["sent"]
    spoken = said(twilio_api.calls[0].text)
    assert {voice for voice, _words in spoken} == {"pt-BR"}
    assert spoken[0][1].startswith("Olá. Esta é uma ligação automática de North Clinic.")
    key = session.scalars(select(Message.key).where(Message.channel == "voice", Message.state == "sent")).one()
    pressed = {"CallSid": "CA1", "Digits": "1"}
    answer = post_from_twilio(client, f"/webhooks/twilio/voice?message={key}", pressed)
    assert said(answer.text) == [("pt-BR", "Obrigado. A mensagem está a caminho.")]
    assert post.sweep() == ["sent"]
    assert "20 de março de 2026" in texts.taken[0].text


@pytest.mark.parametrize(
    ("language", "word"), [("pt", "Não, obrigado"), ("en", "SAIR"), ("es", "nao"), ("pt", "STOP"), ("pt", "ALTO")]
)
def test_stop_is_understood_in_every_language_whatever_the_patient_reads(
    client: FlaskClient, session: Session, clock: Clock, language: str, word: str
) -> None:
    add_patient(session, clock.now, protocol=STUDY, language=language)
    answer = post_incoming_text(client, word)
    assert states(session)["sms"] == "stopped"
    assert ("você não receberá mais mensagens" in answer.text) == (language == "pt")


def test_a_message_file_with_a_mistake_keeps_no_other_language_from_stopping(
    client: FlaskClient, session: Session, clock: Clock, folder: Path
) -> None:
    add_patient(session, clock.now, protocol=STUDY)
    (folder / "messages" / "fr.yaml").write_text("language: fr\nkeywords: {stop: [two words]}\n")
    data_files._in.cache_clear()
    post_incoming_text(client, "SAIR")
    assert states(session)["sms"] == "stopped"


def test_check_finds_nothing_missing(settings: Settings) -> None:
    result = CliRunner().invoke(check)
    assert result.output.splitlines()[-1].endswith("0 problems."), result.output


@pytest.mark.parametrize(
    ("changes", "said_by_check"),
    [
        ({"voice": None}, "voice: is missing in pt"),
        ({"voice": "Brazil"}, "voice: must be a locale such as en-US or es-MX"),
        ({"keywords": {}}, "keywords.stop: is missing in pt: the words that end text messages"),
        ({"keywords": {"stop": ["não mais"]}}, "keywords.stop.0: must be one word of at least two letters"),
        (
            {"keywords": {"stop": ["sim"], "start": ["SÍM"]}},
            "keywords.start: 'sim' is a keyword of stop, too; keep one",
        ),
        ({"keywords": {"stop": ["help"]}}, "'help' is a keyword of"),
        ({"replies": {}}, "replies.sms-stopped: is missing in pt"),
        ({"templates": {}}, "templates.snooze: lacks its mail in pt, text message in pt"),
    ],
)
def test_check_says_what_is_missing_in_a_message_file(
    settings: Settings, folder: Path, changes: dict[str, object], said_by_check: str
) -> None:
    content = {**third_language.messages(), **changes}
    kept = {key: value for key, value in content.items() if value is not None}
    path = folder / "messages" / f"{third_language.CODE}.yaml"
    path.write_text(yaml.safe_dump(kept, allow_unicode=True), encoding="utf-8")
    result = CliRunner().invoke(check)
    assert said_by_check in result.output
    assert result.exit_code == 1


@pytest.mark.parametrize("compiled", [True, False])
def test_check_says_what_is_missing_in_a_catalogue(settings: Settings, folder: Path, compiled: bool) -> None:
    written = third_language.write_catalogue(folder, leaves_out="What is your date of birth?")
    if not compiled:
        written.with_suffix(".mo").unlink()
    result = CliRunner().invoke(check)
    assert re.search(r"messages\.po: lacks 1 of \d+ texts.*'What is your date of birth\?'", result.output)
    assert ("is missing: compile the catalogue" in result.output) == (not compiled)


def test_check_names_a_translation_that_would_fill_in_something_else(settings: Settings, folder: Path) -> None:
    written = folder / "translations" / "pt" / "LC_MESSAGES" / "messages.po"
    written.with_suffix(".mo").unlink()
    text = written.read_text(encoding="utf-8")
    written.write_text(text.replace("[pt] You can answer until %(date)s.", "Até %(day)s."), encoding="utf-8")
    output = CliRunner().invoke(check).output
    assert "You can answer until %(date)s.: has other placeholders in 'Até %(day)s.'; has %(date)s" in output


def test_check_names_a_folder_that_is_no_language(settings: Settings, folder: Path) -> None:
    third_language.write_catalogue(folder, name="Portuguese")
    output = CliRunner().invoke(check).output
    assert "Portuguese: this folder of translations is not read: name it after its language by ISO 639-1" in output


def test_sites_need_their_words_in_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRO_TRACKER_SITES_FILE")
    result = CliRunner().invoke(check)
    assert "needs words in 'pt' that name the number 988" in str(result.exception or result.output)


def test_the_web_process_does_not_start_before_it_is_compiled(settings: Settings, folder: Path) -> None:
    compiled = folder / "translations" / "pt" / "LC_MESSAGES" / "messages.mo"
    compiled.unlink()
    with pytest.raises(MissingAssets, match=r"Not compiled: .*messages\.mo\. Run `pybabel compile --input-file"):
        create_app(settings)


def test_wording_can_be_loaded_in_it(settings: Settings, tmp_path: Path) -> None:
    out = tmp_path / "fatigue-pt.csv"
    done = CliRunner().invoke(text_pack, ["template", "promis-fatigue-8a", "pt", "--out", str(out)])
    assert done.exit_code == 0, done.output
    refused = CliRunner().invoke(text_pack, ["template", "promis-fatigue-8a", "fr", "--out", str(tmp_path / "fr.csv")])
    assert "Patients are asked in en or es or pt" in str(refused.exception or refused.output)
