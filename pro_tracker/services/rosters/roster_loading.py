"""Loads the staged people of an import in portions, each of which the caller commits at once.

The audit rows of a portion are appended at its end, so that others wait for an import no longer than for a coordinator.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pro_tracker.models.roster_import import RosterImport
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic.person import kept
from pro_tracker.services.enrolment import possible_duplicates
from pro_tracker.services.rosters import new_people, roster_review, roster_staging
from pro_tracker.services.rosters.new_people import PersonToEnrol
from pro_tracker.services.rosters.roster_checks import RosterFindings, RosterPerson
from pro_tracker.services.rosters.roster_comparison import enrolled_subjects, recorded_treatment
from pro_tracker.services.rosters.roster_person import PersonImport, infusions_by_key
from pro_tracker.services.rosters.roster_result import ImportResult
from pro_tracker.services.rosters.roster_review import PORTION


def resumed(session: Session, running: RosterImport, *, now: datetime) -> ImportResult:
    """Returns the import as far as it is left, with a finding on each row that is no longer valid."""
    left = roster_staging.staged_file(session, running)
    people, outcome = roster_review.examined(session, left, now=now)
    outcome.to_load = {person.first_line: person for person in people}
    return outcome


def load_portion(
    session: Session, actor: Actor, running: RosterImport, outcome: ImportResult, *, now: datetime
) -> bool:
    """Loads the next people, and adds findings and counts to `outcome`; returns whether there were any.

    The portion after the last ends the import. The caller commits. Several processes may do this at a time.
    """
    lines = roster_staging.next_lines(session, running, PORTION)
    session.refresh(running)
    if running.ended_at is not None:
        return False
    if not lines:
        roster_staging.finish(session, actor, running, now=now)
        return False
    found = ImportResult(outcome.file, RosterFindings())
    with audit.appended_together(session):
        done = _portion(session, actor, found, [(line, outcome.to_load.get(line)) for line in lines], now=now)
    roster_staging.remove(session, running, done)
    running.new_subjects += found.new_subjects
    running.new_infusions += found.new_infusions
    running.rejected_rows += len(found.rejected)
    running.worked_at = now
    outcome.add(found)
    session.flush()
    return True


def _portion(
    session: Session,
    actor: Actor,
    found: ImportResult,
    staged: Sequence[tuple[int, RosterPerson | None]],
    *,
    now: datetime,
) -> Sequence[int]:
    """Loads the new people among those that are staged, or else the first of the others; returns who is done.

    A recorded person is a portion alone, whose row must not stay locked for others. None: no longer valid.
    """
    people = [person for _, person in staged if person is not None]
    acts = roster_review.person_import(session, actor, found, now=now)
    known = enrolled_subjects(session, [person.record_number for person in people])
    new = [each for each in people if each.record_number not in known and not found.is_other_person(each)]
    if new:
        _enrol_all(acts, new)
        return [person.first_line for person in new]
    if people:
        _load_one(acts, people[0], known.get(people[0].record_number))
        return [people[0].first_line]
    return [line for line, _ in staged]


def _load_one(acts: PersonImport, person: RosterPerson, subject: Subject | None) -> None:
    if subject is None:
        acts.enrol(person)
        return
    recorded = recorded_treatment(acts.session, [subject.person_id])
    given = acts.compare(person, subject, recorded[subject.person_id])
    if given:
        acts.add_infusions(person, kept(acts.session, subject.id), given)


def _enrol_all(acts: PersonImport, people: Sequence[RosterPerson]) -> None:
    session = acts.session
    _lock_sites(session, {person.facts.site_code for person in people})
    ready = list(_ready(acts, people))
    to_enrol = [each for _, each in ready]
    try:
        with audit.savepoint(session):
            new_people.enrol(session, acts.actor, to_enrol, now=acts.now)
    except IntegrityError:  # another site enrolled one of them at this moment
        for person, _ in ready:
            acts.enrol(person)
        return
    acts.outcome.new_subjects += len(to_enrol)
    acts.outcome.new_infusions += sum(len(each.infusions) for each in to_enrol)


def _ready(acts: PersonImport, people: Sequence[RosterPerson]) -> Iterator[tuple[RosterPerson, PersonToEnrol]]:
    """Yields the people who can be enrolled as they are. The others, recorded since the review, get a finding."""
    recorded = possible_duplicates.find_each(acts.session, [person.facts for person in people])
    for person, records in zip(people, recorded, strict=True):
        protocol = acts.protocol_for(person)
        if protocol is None or not acts.is_answered(person, records):
            continue
        infusions = [facts for _, facts in infusions_by_key(person).values()]
        yield person, PersonToEnrol(person.facts, protocol, infusions)


def _lock_sites(session: Session, codes: Collection[str]) -> None:
    """Waits for coordinators who enrol at these sites, as they wait for this portion; see possible_duplicates.enrol."""
    rows = select(Site.id).where(Site.code.in_(codes))
    session.execute(rows.order_by(Site.id).with_for_update())
