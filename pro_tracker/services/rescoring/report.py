"""What a re-scoring changed, scale by scale, and what it left out: counted portion by portion, kept as JSON."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

Skipped = tuple[str, str, str]  # instrument code and version that the responses were asked with; why


@dataclass(slots=True)
class ScaleChanges:
    """One scale under one scoring version. Compared are T-scores, or raw scores of a scale without them.

    `newly_scored` had no such score before, `no_longer_scored` has none now; what is in neither of the four counts has
    no score as before. `difference_sum` (new minus earlier) and `largest_difference` are over `changed`.
    """

    instrument_code: str
    scale_code: str
    scoring_version: str
    responses: int = 0
    unchanged: int = 0
    changed: int = 0
    newly_scored: int = 0
    no_longer_scored: int = 0
    difference_sum: float = 0.0
    largest_difference: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.instrument_code, self.scale_code, self.scoring_version

    @property
    def mean_difference(self) -> float | None:
        """New minus earlier score, mean over the changed; None where none changed."""
        return self.difference_sum / self.changed if self.changed else None

    def add(self, more: "ScaleChanges") -> None:
        for name in ("responses", "unchanged", "changed", "newly_scored", "no_longer_scored", "difference_sum"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        self.largest_difference = max(self.largest_difference, more.largest_difference)


@dataclass(slots=True)
class RescoringReport:
    """The changes by scale, and how many responses were left out, with the reason."""

    scales: dict[tuple[str, str, str], ScaleChanges] = field(default_factory=dict)
    skipped: dict[Skipped, int] = field(default_factory=dict)

    @property
    def n_scores(self) -> int:
        """How many scores were added."""
        return sum(each.responses for each in self.scales.values())

    def count(self, changes: Iterable[ScaleChanges]) -> None:
        for each in changes:
            self.scales.setdefault(each.key, ScaleChanges(*each.key)).add(each)

    def add(self, more: "RescoringReport") -> None:
        self.count(more.scales.values())
        for what, responses in more.skipped.items():
            self.skip(what, responses)

    def skip(self, what: Skipped, responses: int) -> None:
        self.skipped[what] = self.skipped.get(what, 0) + responses

    def as_json(self) -> dict[str, Any]:
        return {
            "scales": [asdict(self.scales[key]) for key in sorted(self.scales)],
            "skipped": [[*what, self.skipped[what]] for what in sorted(self.skipped)],
        }

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "RescoringReport":
        report = cls()
        report.count(ScaleChanges(**each) for each in stored["scales"])
        for code, version, reason, responses in stored["skipped"]:
            report.skip((code, version, reason), responses)
        return report
