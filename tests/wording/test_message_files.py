"""Message files, shipped or a clinic's own: `pro-tracker check` reports errors by file, key and reason."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pro_tracker.cli.check import check
from pro_tracker.services.instruments import data_files, instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.message_texts import MessageFacts, mail, sms

DOCUMENTED = Path(__file__).parents[2] / "docs" / "message-format.md"
FACTS = MessageFacts(
    template="reminder",
    language="en",
    time_zone="America/New_York",
    clinic="North Clinic",
    phone="+1 216 555 0100",
    url="https://pro-tracker.test/v/abcdefghijklmnopqrstuv",
    closes_at=datetime(2026, 3, 21, 3, 59, 59, tzinfo=UTC),
    minutes=10,
)
MAIL = {"subject": "From {clinic}", "opening": "You can answer until {closes}."}
SMS = "{clinic}: {url} Until {closes}."


def messages(language: str = "en", **template: Any) -> dict[str, Any]:
    """Returns a clinic's own file with one template, `weekly`."""
    return {"language": language, "templates": {"weekly": {"email": MAIL, "sms": SMS, **template}}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The clinic's own folder, with places for messages and protocols."""
    for name in ("messages", "protocols"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PRO_TRACKER_DATA_FOLDER", str(tmp_path))
    forget()
    yield tmp_path
    data_files.set_data_folder(None)
    forget()


def forget() -> None:
    """Clears the caches of this process: a service reads each file once."""
    for read in (
        message_texts.read,
        message_texts._schema,
        message_texts._merged,
        data_files._in,
        protocol_catalog.read_protocol,
    ):
        read.cache_clear()


def write(folder: Path, file: dict[str, Any], name: str = "") -> Path:
    path = folder / "messages" / (name or f"{file['language']}.yaml")
    path.write_text(yaml.safe_dump(file, allow_unicode=True), encoding="utf-8")
    return path


def checked(*arguments: str) -> list[str]:
    """Returns the output of `pro-tracker check` without its last line, with empty caches."""
    forget()
    return CliRunner().invoke(check, arguments).output.splitlines()[:-1]


def asks_with(folder: Path, template: str) -> Path:
    """Adds a protocol of the clinic whose first step uses this template."""
    protocol = yaml.safe_load((protocol_catalog.PROTOCOLS / "ketamine-5day.yaml").read_text(encoding="utf-8"))
    protocol |= {"code": "own", "study": "OWN"}
    protocol["messages"]["steps"][0]["template"] = template
    path = folder / "protocols" / "own.yaml"
    path.write_text(yaml.safe_dump(protocol), encoding="utf-8")
    return path


def test_the_example_of_the_documentation_is_valid_and_used(folder: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENTED.read_text(encoding="utf-8"), re.DOTALL)
    write(folder, yaml.safe_load(example))
    assert checked() == []
    assert mail(FACTS).subject == "A few questions for you from North Clinic"
    assert "There are still a few questions for you." in mail(FACTS).text, "the rest is as shipped"
    assert sms(FACTS).text.startswith("North Clinic: there are still questions for you: ")


def test_without_the_folder_the_shipped_wording_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, messages() | {"templates": {"reminder": {"sms": "{clinic} again: {url}"}}})
    assert checked() == []
    assert sms(FACTS).text == f"North Clinic again: {FACTS.url}"
    data_files.set_data_folder(None)
    assert sms(FACTS).text.startswith("North Clinic: there are still questions for you: ")


def test_a_template_of_the_clinic_needs_every_language_on_both_channels(folder: Path) -> None:
    path = asks_with(folder, "weekly")
    place = f"{path}: messages.steps.0.template:"
    assert checked() == [f"{place} names no message; there are invitation, reminder, last-reminder"]
    write(folder, {"language": "en", "templates": {"weekly": {"email": MAIL}}})
    assert checked() == [f"{place} weekly lacks its text message in en, mail in es, text message in es"]
    write(folder, messages("en"))
    assert checked() == [f"{place} weekly lacks its mail in es, text message in es"]
    write(folder, messages("es"))
    assert checked() == []
    assert protocol_catalog.read_protocol(path).reminders[0].template == "weekly"


def test_a_text_for_calls_is_optional_but_not_in_one_language_alone(folder: Path) -> None:
    path = asks_with(folder, "weekly")
    write(folder, messages("en", voice="Hello from {clinic}."))
    write(folder, messages("es"))
    assert checked() == [f"{path}: messages.steps.0.template: weekly lacks its call in es"]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (messages(sms="{clinic}: no link"), "templates.weekly.sms: lacks the link, {url}"),
        (messages(sms=SMS + " {name}"), "templates.weekly.sms: cannot fill in {name}, only {clinic}, {closes}"),
        (messages(sms=SMS + " {clinic.__class__}"), "templates.weekly.sms: cannot fill in {clinic.__class__}, only "),
        (messages(sms=SMS + " {clinic!r:>900}"), "templates.weekly.sms: cannot fill in {clinic!r:>900}, only "),
        (messages(sms=SMS + " {"), "templates.weekly.sms: has a brace that is not one of a pair"),
        (messages(sms="{clinic}: {url}."), "templates.weekly.sms: needs a space on either side of {url}"),
        (messages(email=MAIL | {"subject": "One\nTwo"}), "templates.weekly.email.subject: must be one line"),
        (messages(email=MAIL | {"subject": "Until {closes}"}), "templates.weekly.email.subject: cannot fill in "),
        (messages(email={"subject": "Yours"}), "templates.weekly.email.opening: is missing"),
        (messages(sms=f"Your KETAMINE! {SMS}"), "templates.weekly.sms: says 'ketamine': a message names no drug"),
        (messages("es", sms=f"Su migrana: {SMS}"), "templates.weekly.sms: says 'migrana': a message names no drug"),
        (messages("es", sms=f"Su cáncer: {SMS}"), "templates.weekly.sms: says 'cancer': a message names no drug"),
        (messages("es", sms=f"Le duele {SMS}"), "templates.weekly.sms: says 'duele': a message names no drug"),
        (messages("es", sms=f"Está cansada {SMS}"), "templates.weekly.sms: says 'cansada': a message names no drug"),
        (messages(sms=f"It hurts {SMS}"), "templates.weekly.sms: says 'hurts': a message names no drug"),
        (messages("es", sms=f"Pain {SMS}"), "templates.weekly.sms: says 'pain': a message names no drug"),
        (messages() | {"never_say": ["until"]}, "templates.weekly.sms: says 'until': a message names no drug"),
        (messages() | {"replies": {"sms-help": "{url}"}}, "replies.sms-help: cannot fill in {url}, only {clinic}"),
        (messages(sms=SMS + "a" * 400), "templates.weekly.sms: takes 4 segments when South Clinic sends it"),
        (messages(sms=SMS + "á" * 130), "templates.weekly.sms: takes 4 segments when South Clinic sends it"),
        ({"language": "en", "replies": {"sms-help": "Your fatigue"}}, "replies.sms-help: says 'fatigue'"),
        (messages() | {"language": "es"}, "language: the file en.yaml should be named es.yaml"),
        (messages() | {"greeting": "Hello"}, "greeting: is no key of this format"),
    ],
)  # fmt: skip
def test_each_error_is_reported_with_its_place(folder: Path, file: dict[str, Any], line: str) -> None:
    path = write(folder, file, "es.yaml" if line.startswith("templates") and file["language"] == "es" else "en.yaml")
    assert f"{path}: {line}" in "\n".join(checked(str(path)))
    assert f"{path}: {line}" in "\n".join(checked())


def test_the_link_counts_with_its_length_in_this_installation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, messages(sms=SMS + "a" * 330))
    monkeypatch.setenv("PRO_TRACKER_BASE_URL", "https://a.example")
    assert checked(str(path)) == []
    monkeypatch.setenv("PRO_TRACKER_BASE_URL", f"https://{'a' * 50}.example")
    (problem,) = checked(str(path))
    assert "templates.weekly.sms: takes 4 segments" in problem


def test_a_clinic_name_outside_the_gsm_alphabet_counts_with_the_text_around_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder, messages(sms=SMS + "a" * 130))
    assert checked(str(path)) == []
    sites = [{"code": "norte", "name": "Clínica Norte", "time_zone": "America/New_York", "phone": "+1 216 555 0100"}]
    (tmp_path / "sites.yaml").write_text(yaml.safe_dump({"sites": sites}))
    monkeypatch.setenv("PRO_TRACKER_SITES_FILE", str(tmp_path / "sites.yaml"))
    (problem,) = checked(str(path))
    assert "takes 4 segments when Clínica Norte sends it" in problem


def test_an_invalid_message_file_is_reported_once_and_blocks_protocols(folder: Path) -> None:
    path = write(folder, messages(sms="{clinic}: no link"))
    said = checked()
    assert [line for line in said if line.startswith(str(path))] == [
        f"{path}: templates.weekly.sms: lacks the link, {{url}}"
    ]
    assert {line.partition(": ")[2] for line in said if not line.startswith(str(path))} == {
        "messages.steps: a message file has problems of its own"
    }


def test_messages_requested_by_patients_must_exist_in_every_language(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = message_texts.files()
    monkeypatch.setattr(message_texts, "files", lambda: tuple(path for path in shipped if path.stem != "es"))
    said = "\n".join(checked())
    assert "templates.snooze: lacks its mail in es, text message in es" in said
    assert "replies.sms-help: is missing in es" in said
    assert "layout: is missing in es" in said
    assert instrument_catalog.FALLBACK_LANGUAGE == "en", (
        "though English would stand in for it, as for a region's own words"
    )
