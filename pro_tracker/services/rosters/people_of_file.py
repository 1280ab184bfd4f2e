"""Finds people who may be one person within a file, as possible_duplicates.py does among those who are recorded."""

from collections import defaultdict
from collections.abc import Collection, Iterator

from pro_tracker.domain.folding import name_key
from pro_tracker.domain.record_numbers import without_zeros
from pro_tracker.domain.subject_codes import DuplicateSign
from pro_tracker.services.contacts.addresses import usable_address
from pro_tracker.services.enrolment.facts import EnrolmentFacts
from pro_tracker.services.rosters.roster_checks import RosterFinding, RosterPerson, on_each_row
from pro_tracker.services.rosters.roster_person import signs_in_words, what_to_do

Mark = tuple[DuplicateSign, tuple[object, ...]]  # what two records of one person have in common


class PeopleOfFile:
    """The people of a file so far, found by what another record of the same person would share."""

    def __init__(self) -> None:
        self._lines = defaultdict[Mark, list[int]](list)

    def add(self, person: RosterPerson) -> Collection[RosterFinding]:
        """Adds a person, and returns a finding on each row if people of earlier rows may be the same."""
        signs = defaultdict[int, list[DuplicateSign]](list)
        for mark in self._marks(person):
            lines = self._lines[mark]
            for line in lines:
                signs[line].append(mark[0])
            lines.append(person.first_line)
        if not signs:
            return []
        others = [f"Line {line} has {signs_in_words(signs[line])}." for line in sorted(signs)]
        reason = " ".join([*others, *what_to_do(person.first_line)])
        return list(on_each_row(person.rows, "record_number", reason))

    @staticmethod
    def _marks(person: RosterPerson) -> list[Mark]:
        facts = person.facts
        bare = without_zeros(person.record_number)
        return [
            (DuplicateSign.NAME, (facts.birth_date, name_key(facts.given_name, facts.family_name))),
            *dict.fromkeys((DuplicateSign.CONTACT, (facts.birth_date, address)) for address in _addresses(facts)),
            (DuplicateSign.NUMBER, (facts.site_code, bare)),
        ]


def _addresses(facts: EnrolmentFacts) -> Iterator[str]:
    for channel, typed in facts.addresses.items():
        address = usable_address(channel, typed)
        if address:
            yield address.casefold()
