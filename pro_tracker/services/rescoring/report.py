"""The report of a re-scoring: changes by scale and skipped responses, added up over portions, stored as JSON."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

Skipped = tuple[str, str, str]  # instrument code and version of the responses, and the reason


@dataclass(slots=True)
class ScaleChanges:
    """One scale under one scoring version. T-scores are compared, or raw scores of a scale without them.

    `newly_scored` had no score before, `no_longer_scored` has none now; responses in none of the four counts have no
    score, as before. `difference_sum` (new minus earlier) and `largest_difference` are over `changed`, in points.
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
        if self.changed == 0:
            return None
        return self.difference_sum / self.changed

    def add(self, more: "ScaleChanges") -> None:
        self.responses += more.responses
        self.unchanged += more.unchanged
        self.changed += more.changed
        self.newly_scored += more.newly_scored
        self.no_longer_scored += more.no_longer_scored
        self.difference_sum += more.difference_sum
        self.largest_difference = max(self.largest_difference, more.largest_difference)


@dataclass(slots=True)
class RescoringReport:
    """The changes by scale, and the number of skipped responses by reason."""

    scales: dict[tuple[str, str, str], ScaleChanges] = field(default_factory=dict)
    skipped: dict[Skipped, int] = field(default_factory=dict)

    @property
    def n_scores(self) -> int:
        """The number of scores that were added."""
        return sum(each.responses for each in self.scales.values())

    def count(self, changes: Iterable[ScaleChanges]) -> None:
        for each in changes:
            known = self.scales.setdefault(each.key, ScaleChanges(*each.key))
            known.add(each)

    def add(self, more: "RescoringReport") -> None:
        self.count(more.scales.values())
        for key, responses in more.skipped.items():
            self.skip(key, responses)

    def skip(self, key: Skipped, responses: int) -> None:
        before = self.skipped.get(key, 0)
        self.skipped[key] = before + responses

    def as_json(self) -> dict[str, Any]:
        return {
            "scales": [asdict(self.scales[key]) for key in sorted(self.scales)],
            "skipped": [[*key, responses] for key, responses in sorted(self.skipped.items())],
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "RescoringReport":
        report = cls()
        changes = [ScaleChanges(**each) for each in stored["scales"]]
        report.count(changes)
        for code, version, reason, responses in stored["skipped"]:
            report.skip((code, version, reason), responses)
        return report
