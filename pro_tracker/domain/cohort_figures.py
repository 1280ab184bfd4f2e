"""Figures of one scale over many people, in one pass: counts, mean, SD, change from baseline, responders. Pure.

Means and squared deviations are updated by Welford's method (Technometrics 1962;4:419-420) and merged by Chan's
(Am Stat 1983;37:242-247): the plain sum of squares would lose digits.
"""

from dataclasses import dataclass, field
from math import sqrt

from pro_tracker.domain.change import Change, ScorePoint, change, is_responder
from pro_tracker.domain.instrument import Scale


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of some values."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def from_summary(cls, n: int, mean: float | None, sd: float | None) -> "Moments":
        """The moments behind stored summary figures: n, mean and sample SD."""
        variance = (sd or 0.0) ** 2
        return cls(n, mean or 0.0, variance * max(n - 1, 0))

    def add(self, value: float) -> None:
        self.n += 1
        step = value - self.mean
        self.mean += step / self.n
        self.squares += step * (value - self.mean)

    def merge(self, other: "Moments") -> None:
        """Adds the values behind other moments."""
        n = self.n + other.n
        if n == 0:
            return
        step = other.mean - self.mean
        self.squares += other.squares + step * step * self.n * other.n / n
        self.mean += step * other.n / n
        self.n = n

    @property
    def mean_or_none(self) -> float | None:
        return self.mean if self.n else None

    @property
    def sd(self) -> float | None:
        """The sample SD (n - 1), None below two values."""
        return sqrt(self.squares / (self.n - 1)) if self.n > 1 else None


@dataclass
class ScaleFigures:
    """One scale at one study event."""

    expected: int = 0  # visits
    open: int = 0  # of them, not answered and still to be
    unvalidated: int = 0  # scores of answers to wording that is not validated
    scores: Moments = field(default_factory=Moments)
    changes: Moments = field(default_factory=Moments)  # later minus baseline
    rated: int = 0  # people for whom `is_responder` can be decided: the denominator of `responders`
    responders: int = 0

    def add(self, scale: Scale, baseline: ScorePoint | None, later: ScorePoint) -> None:
        """Counts one person's score; `baseline` is None where there is none, and at the baseline itself."""
        self.scores.add(later.value)
        if later.basis is not None and not later.basis.validated:
            self.unvalidated += 1
        if baseline is not None:
            self._add_change(change(scale, baseline, later))
        responds = is_responder(scale, baseline, later)
        if responds is not None:
            self.rated += 1
            self.responders += responds

    def _add_change(self, changed: Change) -> None:
        if changed.difference is not None:
            self.changes.add(changed.difference)

    def merge(self, other: "ScaleFigures") -> None:
        """Adds the figures of other people, such as those of another site."""
        self.expected += other.expected
        self.open += other.open
        self.unvalidated += other.unvalidated
        self.scores.merge(other.scores)
        self.changes.merge(other.changes)
        self.rated += other.rated
        self.responders += other.responders
