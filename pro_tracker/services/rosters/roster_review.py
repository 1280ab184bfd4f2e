"""Compares a roster file with what is recorded, before anything is added: whatever would be refused is found here.

What is found is a promise for the moment of the review. `roster_loading` looks again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.roster_file import RosterFile
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic.person import kept
from pro_tracker.services.enrolment import identity_hashes, possible_duplicates
from pro_tracker.services.rosters import roster_checks
from pro_tracker.services.rosters.people_of_file import PeopleOfFile
from pro_tracker.services.rosters.roster_checks import RosterPerson
from pro_tracker.services.rosters.roster_comparison import enrolled_subjects, recorded_treatment
from pro_tracker.services.rosters.roster_person import Given, PersonImport
from pro_tracker.services.rosters.roster_result import ImportResult, Progress

PORTION = 50  # people that are looked at, or loaded, together


def examined(session: Session, file: RosterFile, *, now: datetime) -> tuple[list[RosterPerson], ImportResult]:
    """Returns the people of the file with valid rows, and the findings that follow from the file alone.

    Ends the transaction, in which nothing may have changed.
    """
    sites = session.scalars(select(Site)).all()
    rules = {site.code: identity_hashes.rules_of(site) for site in sites}
    zones = {site.code: site.time_zone for site in sites}
    session.rollback()  # no transaction stays open while a long file is read
    people, findings = roster_checks.examine(file, sites=rules, zones=zones, now=now)
    return people, ImportResult(file, findings)


def person_import(session: Session, actor: Actor, outcome: ImportResult, *, now: datetime) -> PersonImport:
    """Returns the acts on single people, which add to `outcome`."""
    defaults = {site.code: site.protocol_code for site in session.scalars(select(Site))}
    return PersonImport(session, actor, outcome, defaults, now)


def review(
    session: Session, actor: Actor, file: RosterFile, *, now: datetime, on_portion: Progress | None = None
) -> ImportResult:
    """Returns the findings about every row, and the people with something to add. Changes nothing.

    Rolls back after each portion, since new infusions of recorded people are tried by the acts themselves.
    """
    people, outcome = examined(session, file, now=now)
    of_file = PeopleOfFile()
    for start in range(0, len(people), PORTION):
        portion = people[start : start + PORTION]
        acts = person_import(session, actor, outcome, now=now)
        _review_portion(acts, portion, of_file)
        session.rollback()
        if on_portion:
            on_portion(start + len(portion), len(people))
    return _without_rejected_rows(outcome)


def _review_portion(acts: PersonImport, people: Sequence[RosterPerson], of_file: PeopleOfFile) -> None:
    known = enrolled_subjects(acts.session, [person.record_number for person in people])
    new = [person for person in people if person.record_number not in known]
    found = possible_duplicates.find_each(acts.session, [person.facts for person in new])
    for person, records in zip(new, found, strict=True):
        if acts.protocol_for(person) is None or not acts.is_answered(person, records):
            continue
        twins = of_file.add(person)
        if twins and not acts.outcome.is_other_person(person):
            acts.outcome.findings.add(twins)
            continue
        acts.outcome.to_load[person.first_line] = person
    _review_known(acts, people, known)


def _review_known(acts: PersonImport, people: Sequence[RosterPerson], known: Mapping[str, Subject]) -> None:
    treatment = recorded_treatment(acts.session, {subject.person_id for subject in known.values()})
    # All comparisons first: a trial forgets what was loaded for them.
    to_try: list[tuple[RosterPerson, Subject, Given]] = []
    for person in people:
        subject = known.get(person.record_number)
        given = acts.compare(person, subject, treatment[subject.person_id]) if subject else None
        if subject and given:
            to_try.append((person, kept(acts.session, subject.id), given))
    for person, subject, given in to_try:
        if _is_possible(acts, person, subject, given):
            acts.outcome.to_load[person.first_line] = person


def _is_possible(acts: PersonImport, person: RosterPerson, subject: Subject, given: Given) -> bool:
    """Adds the infusions and takes them back, which adds to the findings what stands against them."""
    with audit.discarded(acts.session), acts.session.begin_nested() as trial:
        added = [acts.add_infusion(person, subject, line, facts) for line, facts in given.values()]
        trial.rollback()
    return any(added)


def _without_rejected_rows(outcome: ImportResult) -> ImportResult:
    """Limits the people to load to their accepted rows, by the first line of these, of which the answers are then."""
    to_load: dict[int, RosterPerson] = {}
    answered: set[int] = set()
    for person in outcome.to_load.values():
        accepted = tuple(each for each in person.rows if each.row.line not in outcome.rejected)
        if not accepted:
            continue
        kept_rows = RosterPerson(person.record_number, accepted)
        to_load[kept_rows.first_line] = kept_rows
        if outcome.is_other_person(person):
            answered.add(kept_rows.first_line)
    outcome.to_load = to_load
    outcome.file = replace(outcome.file, other_people=frozenset(answered))
    return outcome
