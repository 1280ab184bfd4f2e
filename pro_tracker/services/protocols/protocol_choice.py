"""The protocol that a new subject follows: the one that was named, else the default of the site, never a guess."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidDataFile, InvalidInput, NotFound
from pro_tracker.domain.protocol import Protocol
from pro_tracker.models.site import Site
from pro_tracker.services import audit
from pro_tracker.services.clinic.sites import SiteFacts
from pro_tracker.services.protocols import protocol_catalog

FIELD = "protocol"


def chosen(named: str, site_default: str) -> Protocol:
    """Returns the newest version of the protocol `named`, or of the site's default where `named` is "".

    Raises InvalidInput with its field for an unknown code, and where neither is given and there are several protocols.
    """
    code = named or default_code(site_default)
    if not code:
        raise InvalidInput(f"Several studies enroll patients: choose one. {_known_codes()}", field=FIELD)
    try:
        return protocol_catalog.protocol(code)
    except NotFound:
        raise InvalidInput(unknown(code), field=FIELD) from None


def default_code(site_default: str) -> str:
    """Returns the code of the protocol that needs no choice: the site's default, or the only one; "" without either."""
    codes = protocol_catalog.codes()
    if site_default:
        return site_default
    return codes[0] if len(codes) == 1 else ""


def unknown(code: str) -> str:
    """Says that there is no protocol of this code, and which there are."""
    return f"There is no protocol {code[:60]!r}. {_known_codes()}"


def _known_codes() -> str:
    return f"The protocols are {', '.join(protocol_catalog.codes())}."


def site_default(session: Session, site_code: str) -> str:
    """Returns the code of the site's default protocol; "" for none, and for an unknown site."""
    of_site = select(Site.protocol_code).where(Site.code == site_code)
    return session.scalar(of_site) or ""


def reject_unknown(listed: Sequence[SiteFacts], path: Path) -> None:
    """Raises InvalidDataFile for each site of the sites file `path` whose `protocol` does not exist."""
    found = unknown_defaults(listed, protocol_catalog.codes())
    if found:
        raise InvalidDataFile(*((f"{path}: {key}", reason) for key, reason in found))


def unknown_defaults(listed: Sequence[SiteFacts], codes: Sequence[str]) -> list[tuple[str, str]]:
    """Returns key and reason of each site of the sites file whose `protocol` is none of these codes."""
    found: list[tuple[str, str]] = []
    for number, site in enumerate(listed):
        if not site.protocol or site.protocol in codes:
            continue
        key = f"sites.{number}.protocol"
        found.append((key, unknown(site.protocol)))
    return found


def keep_only_protocol(session: Session, listed: Sequence[SiteFacts], *, now: datetime) -> None:
    """Makes the only protocol the default of the sites that have none, so that a protocol added later changes nothing.

    A site whose entry says `protocol: ""` keeps none.
    """
    codes = protocol_catalog.codes()
    if len(codes) != 1:
        return
    asked_for_none = [site.code for site in listed if site.protocol == ""]
    without = session.scalars(select(Site).where(Site.protocol_code == "", Site.code.not_in(asked_for_none))).all()
    for site in without:
        site.protocol_code = codes[0]
    if without:
        session.flush()
        actor = audit.Actor(ActorKind.COMMAND, "migrate")
        detail: audit.Detail = {"sites": sorted(site.code for site in without), "protocol": codes[0]}
        audit.record(session, actor, "sites.default-protocol", now=now, detail=detail)
