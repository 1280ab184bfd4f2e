"""Reads the sites file of an installation and creates or updates its sites. A site is never deleted."""

from datetime import datetime
from pathlib import Path
from zoneinfo import available_timezones

from pydantic import Field, field_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.models.site import Site
from pro_tracker.services import audit
from pro_tracker.services.instruments.data_files import FileModel, load_yaml, read_as


class SiteFacts(FileModel):
    """One entry of the sites file."""

    code: str = Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")
    name: str = Field(min_length=1, max_length=100)
    time_zone: str
    phone: str = Field(min_length=3, max_length=40)

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
            session.add(Site(**facts.model_dump()))
        else:
            site.name, site.time_zone, site.phone = facts.name, facts.time_zone, facts.phone
    new = sorted({facts.code for facts in listed} - set(known))
    if new:
        session.flush()
        actor = audit.Actor(ActorKind.COMMAND, "migrate")
        audit.record(session, actor, "sites.create", now=now, detail={"sites": new})
    return len(new)
