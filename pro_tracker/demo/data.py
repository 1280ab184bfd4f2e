"""Data that the demonstration needs in addition to the synthetic patients: an account per role, and a patient link."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from pro_tracker.demo.installation import PROTOCOL
from pro_tracker.domain import consent
from pro_tracker.domain.account_codes import ActorKind, Role
from pro_tracker.domain.consent import ConsentState
from pro_tracker.domain.subject_codes import Sex
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Identity, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links, visit_context
from pro_tracker.services.answering.visit_context import VisitContext
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
class DemoLink:
    """The token of a patient link, and the birth date that its page asks for."""

    token: str
    birth_date: str


def account_emails() -> dict[Role, str]:
    """Returns the e-mail address of each role's account."""
    return {role: f"{role.value}@clinic.example" for role in NAMES}


def set_default_protocol(session: Session) -> None:
    """Makes the protocol of most synthetic patients the one that the page of enrollment selects."""
    session.execute(update(Site).values(protocol_code=PROTOCOL))


def add_accounts(session: Session, password: str, *, now: datetime) -> None:
    """Adds an account for each role, with access to all sites."""
    site_codes = tuple(session.scalars(select(Site.code).order_by(Site.code)))
    for role, email in account_emails().items():
        facts = AccountFacts(
            email=email,
            display_name=NAMES[role],
            role=role,
            password=password,
            site_codes=site_codes,
        )
        accounts.create(session, ACTOR, facts, now=now)


def issue_link(session: Session, *, now: datetime) -> DemoLink:
    """Issues a link to the untouched visit that stays open longest, and asks at once. Adds a patient without one."""
    found = _first(session, consent.ASKED_IN, now)
    if found is None:
        add_patient(session, now=now)
        found = _first(session, consent.ASKED_IN, now)
    assert found is not None  # the visit of the patient who was just enrolled
    return _link(session, found, now)


def issue_consent_link(session: Session, *, now: datetime) -> DemoLink | None:
    """Issues a link to a visit whose consent form was not answered yet; None if there is no such visit."""
    states = (ConsentState.NOT_ASKED,)
    found = _first(session, states, now)
    if found is None:
        return None
    return _link(session, found, now)


def _first(session: Session, states: Collection[ConsentState], now: datetime) -> VisitContext | None:
    """Returns the untouched visit that stays open longest, of those with one of these states of consent."""
    rows = _untouched_visits(now)
    in_order = rows.order_by(Visit.closes_at.desc(), Visit.id)
    for row in session.scalars(in_order).all():
        visit = visit_context.by_visit(session, row.id)
        if visit.consent_state in states:
            return visit
    return None


def _link(session: Session, visit: VisitContext, now: datetime) -> DemoLink:
    identity = session.get_one(Identity, visit.subject_id)
    token = links.issue(session, visit.visit_id, now=now)
    return DemoLink(token, identity.birth_date)


def add_patient(session: Session, *, now: datetime) -> None:
    """Enrols a synthetic patient a week before the first infusion: the first visit is open and its mail is due."""
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
        protocol=PROTOCOL,
    )
    enrolment.enrol(session, ACTOR, facts, now=now)


def _untouched_visits(now: datetime) -> Select[Visit]:
    """Selects open visits of English-speaking patients that were not started and are not locked."""
    return (
        select(Visit)
        .join(Subject, Subject.id == Visit.subject_id)
        .where(Visit.completed_at.is_(None), Visit.voided_at.is_(None))
        .where(Visit.opens_at <= now, Visit.closes_at > now)
        .where(Visit.started_at.is_(None), Visit.locked_until.is_(None))
        .where(Subject.withdrawn_at.is_(None), Subject.language == "en")
    )
