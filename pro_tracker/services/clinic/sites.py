"""Reads the sites file of an installation and creates or updates its sites. A site is never deleted."""

import re
from datetime import datetime
from pathlib import Path
from typing import Self
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.record_numbers import NumberRules, normal_form
from pro_tracker.languages import patient_languages
from pro_tracker.models.site import Site
from pro_tracker.services import audit
from pro_tracker.services.clinic.patient_pages import PatientPagesEntry
from pro_tracker.services.instruments.data_files import FileModel, load_yaml, read_as


class CrisisLine(FileModel):
    """Whom patients who think about harming themselves can call. `words`: a sentence by language, with the number."""

    number: str = Field(min_length=2, max_length=20)
    words: dict[str, str]

    @model_validator(mode="after")
    def _words_name_the_number(self) -> Self:
        for language in patient_languages():
            if self.number not in self.words.get(language, ""):
                raise ValueError(f"needs words in {language!r} that name the number {self.number}")
        return self

    @property
    def stored(self) -> dict[str, str]:
        """As the column crisis_line holds it."""
        return {**self.words, "number": self.number}


class RecordNumbers(FileModel):
    """Rules of the clinic's record numbers. `pattern` is for the normal form: lower case, one dash between parts."""

    pattern: str = Field(default="", max_length=200)
    example: str = Field(default="", max_length=40)
    digits: int = Field(default=0, ge=0, le=30)

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _example_fits(self) -> Self:
        if self.pattern and not self.rules.accept(normal_form(self.example, self.rules)):
            raise ValueError("needs an example whose normal form fits the pattern; letters are lower case in it")
        return self

    @property
    def rules(self) -> NumberRules:
        return NumberRules(self.pattern, self.example, self.digits)


class SiteFacts(FileModel):
    """One entry of the sites file."""

    code: str = Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")
    name: str = Field(min_length=1, max_length=100)
    time_zone: str
    phone: str = Field(min_length=3, max_length=40)
    emergency_number: str = Field(default="", max_length=20)
    crisis_line: CrisisLine | None = None
    protocol: str | None = Field(default=None, max_length=60)  # None: the site keeps the default that it has
    record_numbers: RecordNumbers = RecordNumbers()
    patient_pages: PatientPagesEntry = PatientPagesEntry()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("is no IANA time zone such as America/New_York")
        return value


class SitesFile(FileModel):
    """The content of sites.yaml."""

    sites: list[SiteFacts] = Field(min_length=1)


def read(path: Path) -> list[SiteFacts]:
    """Returns the sites that the file lists. Raises InvalidDataFile with the file, the keys and the reasons."""
    try:
        return read_as(SitesFile, load_yaml(path)).sites
    except InvalidDataFile as error:
        located = [(f"{path}: {key}" if key else str(path), reason) for key, reason in error.errors]
        raise InvalidDataFile(*located) from None


def sync(session: Session, listed: list[SiteFacts], *, now: datetime) -> int:
    """Creates the listed sites that do not exist and updates the others; returns the number of new sites."""
    known = {site.code: site for site in session.scalars(select(Site))}
    for facts in listed:
        site = known.get(facts.code)
        if site is None:
            site = Site(code=facts.code)
            session.add(site)
        _update(site, facts)
    codes = {facts.code for facts in listed}
    new = sorted(codes - set(known))
    if new:
        session.flush()
        actor = audit.Actor(ActorKind.COMMAND, "migrate")
        audit.record(session, actor, "sites.create", now=now, detail={"sites": new})
    return len(new)


def _update(site: Site, facts: SiteFacts) -> None:
    site.name = facts.name
    site.time_zone = facts.time_zone
    site.phone = facts.phone
    site.emergency_number = facts.emergency_number
    site.crisis_line = facts.crisis_line.stored if facts.crisis_line else {}
    if facts.protocol is not None:
        site.protocol_code = facts.protocol
    site.patient_pages = facts.patient_pages.model_dump()
    rules = facts.record_numbers.rules
    site.number_pattern, site.number_example, site.number_width = rules.pattern, rules.example, rules.width
