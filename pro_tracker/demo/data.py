"""What the demonstration needs beside the synthetic patients: one account per role, and a link to open."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind, Role
from pro_tracker.domain.subject_codes import Sex
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Identity, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import accounts
from pro_tracker.services.clinic.accounts import AccountFacts
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.facts import EnrolmentFacts

ACTOR = Actor(ActorKind.COMMAND, "demo")
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


def ready_link(session: Session, *, now: datetime) -> ReadyLink:
    """A fresh link to a visit that nobody has begun: the one that stays open longest, else a new patient's first."""
    newest = _open_visits(now).order_by(Visit.closes_at.desc(), Visit.id).limit(1)
    visit = session.scalar(newest)
    if visit is None:
        add_patient(session, now=now)
        visit = session.scalars(newest).one()
    birth_date = session.get_one(Identity, visit.subject_id).birth_date
    return ReadyLink(links.issue(session, visit.id, now=now), birth_date)


def add_patient(session: Session, *, now: datetime) -> None:
    """Enrol one more made-up patient, a week before the first infusion: the first visit is open, its mail due."""
    site = session.scalars(select(Site).order_by(Site.code).limit(1)).one()
    today = local_date(now, site.time_zone)
    facts = EnrolmentFacts(
        record_number=f"DEMO-{now:%Y%m%d-%H%M%S}",
        given_name="Dana",
        family_name="Demo",
        birth_date=date(1975, 3, 27),
        sex=Sex.FEMALE,
        email="dana.demo@patients.example",
        mobile="",
        language="en",
        time_zone=site.time_zone,
        site_code=site.code,
        enrolled_on=today,
        consent_version="demonstration",
        consent_on=today,
        planned_start_on=today + timedelta(days=7),
    )
    enrolment.enrol(session, ACTOR, facts, now=now)


def _open_visits(now: datetime) -> Select[Visit]:
    is_open = (Visit.completed_at.is_(None), Visit.voided_at.is_(None), Visit.opens_at <= now, Visit.closes_at > now)
    untouched = (Visit.started_at.is_(None), Visit.locked_until.is_(None), Subject.withdrawn_at.is_(None))
    english = Subject.language == "en"
    return select(Visit).join(Subject, Subject.id == Visit.subject_id).where(*is_open, *untouched, english)
