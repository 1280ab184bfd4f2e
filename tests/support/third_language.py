"""Portuguese, added to an installation by files alone: a catalogue, messages, wording of questions and of the clinic.

What no test reads in Portuguese is the English text with a mark before it.
"""

from pathlib import Path
from typing import Any

import yaml
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from config.settings import Settings
from pro_tracker import languages
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.wording import message_texts

CODE = "pt"
VOICE = "pt-BR"
STOP_WORDS = ["sair", "parar", "não"]
PAGES = {"What is your date of birth?": "Qual é a sua data de nascimento?"}
QUESTION = "Quanto a dor atrapalhou o que você queria fazer?"  # the first one of the battery
REPLIES = {
    "sms-stopped": "{clinic}: você não receberá mais mensagens. Ajuda: {phone}.",
    "voice-reminder": "Olá. Esta é uma ligação automática de {clinic}.",
    "voice-link-sent": "Obrigado. A mensagem está a caminho.",
}
INVITATION = {
    "email": {"subject": "{clinic}: perguntas para você", "opening": "Queremos saber como você está. Até {closes}."},
    "sms": "{clinic}: perguntas para você: {url} Até {closes}.",
}


def add(folder: Path) -> None:
    """Writes the files of the language into the data folder `folder`."""
    write_catalogue(folder)
    _write(folder / "messages" / f"{CODE}.yaml", messages())
    for path in sorted(instrument_catalog.TEXT_PACKS.glob("*.en.yaml")):
        name = path.name.replace(".en.", f".{CODE}.")
        _write(folder / "text_packs" / name, _text_pack(yaml.safe_load(path.read_text(encoding="utf-8"))))


def write_catalogue(folder: Path, *, name: str = CODE, leaves_out: str = "", stem: str = "messages") -> Path:
    """Writes the catalogue of pages, without one text if `leaves_out` names it; returns the path of its source."""
    path = folder / "translations" / name / "LC_MESSAGES" / f"{stem}.po"
    path.parent.mkdir(parents=True, exist_ok=True)
    shipped = languages.TRANSLATIONS / "es" / "LC_MESSAGES" / "messages.po"
    with shipped.open("rb") as file:
        spanish = read_po(file)
    catalogue = Catalog(locale=CODE)
    for message in spanish:
        if message.id and message.id != leaves_out:
            catalogue.add(message.id, _translated(message.id))
    with path.open("wb") as file:
        write_po(file, catalogue)
    with path.with_suffix(".mo").open("wb") as file:
        write_mo(file, catalogue)
    return path


def messages() -> dict[str, Any]:
    """Returns the content of a message file: the English one with its language, voice, keywords and some texts."""
    content: dict[str, Any] = yaml.safe_load((message_texts.MESSAGES / "en.yaml").read_text(encoding="utf-8"))
    keywords = {"stop": STOP_WORDS, "start": ["iniciar"], "help": ["ajuda"], "courtesy": ["obrigado"]}
    content.update(language=CODE, voice=VOICE, keywords=keywords)
    content["templates"]["invitation"] = INVITATION
    content["replies"].update(REPLIES)
    return content


def write_sites(folder: Path) -> Path:
    """Writes the clinic's sites with the words of their crisis lines in the language, too; returns the path."""
    content = yaml.safe_load(Settings().sites_file.read_text(encoding="utf-8"))
    for site in content["sites"]:
        site["crisis_line"]["words"][CODE] = "Se pensa em se machucar, ligue 988."
    return _write(folder.parent / "sites.yaml", content)


def _translated(english: str | tuple[str, ...] | list[str]) -> Any:
    if isinstance(english, str):
        return PAGES.get(english, f"[{CODE}] {english}")
    return tuple(f"[{CODE}] {form}" for form in english)


def _text_pack(content: dict[str, Any]) -> dict[str, Any]:
    content["language"] = CODE
    content["items"] = {code: f"[{CODE}] {text}" for code, text in content["items"].items()}
    if content["instrument"] == "promis-pain-interference-8a":
        content["items"][next(iter(content["items"]))] = QUESTION
    return content


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path
