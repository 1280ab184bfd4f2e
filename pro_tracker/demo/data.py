"""What the demonstration needs beside the synthetic patients: one account per role, and a link to open."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from pro_tracker.models.account import Role
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Identity, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import accounts, links
from pro_tracker.services.accounts import AccountFacts
from pro_tracker.services.audit import Actor

ACTOR = Actor("command", "demo")
NAMES = {
    Role.COORDINATOR: "Cora Coordinator",
    Role.CLINICIAN: "Clem Clinician",
    Role.RESEARCHER: "Remy Researcher",
    Role.ADMINISTRATOR: "Ada Administrator",
}


@dataclass(frozen=True)
class ReadyLink:
    """A personal link's token, and the birth date that its page asks for."""

    token: str
    birth_date: str


def sign_ins() -> dict[Role, str]:
    """Role -> the address of its demonstration account."""
    return {role: f"{role.value}@clinic.example" for role in NAMES}


def add_accounts(session: Session, password: str, *, now: datetime) -> None:
    """One account for each role, bound to all sites."""
    sites = session.scalars(select(Site.code).order_by(Site.code)).all()
    for role, address in sign_ins().items():
        facts = AccountFacts(
            email=address, display_name=NAMES[role], role=role, password=password, site_codes=tuple(sites)
        )
        accounts.create(session, ACTOR, facts, now=now)


def ready_link(session: Session, *, now: datetime) -> ReadyLink | None:
    """A fresh link to a visit that nobody has begun, the one that stays open longest; None when no visit is open."""
    visit = session.scalar(_open_visits(now).order_by(Visit.closes_at.desc(), Visit.id).limit(1))
    if visit is None:
        return None
    birth_date = session.get_one(Identity, visit.subject_id).birth_date
    return ReadyLink(links.issue(session, visit.id, now=now), birth_date)


def _open_visits(now: datetime) -> Select[Visit]:
    is_open = (Visit.completed_at.is_(None), Visit.voided_at.is_(None), Visit.opens_at <= now, Visit.closes_at > now)
    untouched = (Visit.started_at.is_(None), Visit.locked_until.is_(None), Subject.withdrawn_at.is_(None))
    english = Subject.language == "en"
    return select(Visit).join(Subject, Subject.id == Visit.subject_id).where(*is_open, *untouched, english)
