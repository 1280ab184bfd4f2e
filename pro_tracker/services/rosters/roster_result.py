"""The result of an import: its findings, and the numbers of what was added."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pro_tracker.domain.roster_file import RosterFile
from pro_tracker.services.rosters.roster_checks import RosterFindings, RosterPerson

Progress = Callable[[int, int], object]  # called after each portion, with the number of people done and of all people


@dataclass
class ImportResult:
    """The findings of an import, and the numbers of added (`new_`) and of previously recorded (`known_`) rows.

    `to_load`: first line of a person in the file -> the person, for those with something that is not recorded.
    """

    file: RosterFile
    findings: RosterFindings
    to_load: dict[int, RosterPerson] = field(default_factory=dict)
    new_subjects: int = 0
    known_subjects: int = 0
    new_infusions: int = 0
    known_infusions: int = 0

    @property
    def rejected(self) -> frozenset[int]:
        return self.findings.rejected

    def is_other_person(self, person: RosterPerson) -> bool:
        """Returns whether the sender said so of one of the person's rows."""
        lines = {each.row.line for each in person.rows}
        return not self.file.other_people.isdisjoint(lines)

    def add(self, portion: "ImportResult") -> None:
        """Adds what one portion added, and what was rejected in it; warnings were found by the review."""
        self.findings.add(each for each in portion.findings.all if not each.is_warning)
        self.new_subjects += portion.new_subjects
        self.new_infusions += portion.new_infusions
