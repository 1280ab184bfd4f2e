"""Figures of one scale over many people: how many, mean, spread, change from baseline, responders. Pure and one pass.

Means and squares are kept by Welford's method (Technometrics 1962;4:419-420) and put together by Chan's (Am Stat
1983;37:242-247): adding up squares would lose digits.
"""

from dataclasses import dataclass, field
from math import sqrt

from pro_tracker.domain.change import ScorePoint, change, is_responder
from pro_tracker.domain.instrument import Scale


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of some values."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, n: int, mean: float | None, sd: float | None) -> "Moments":
        """As they were before they were written down as n, mean and sample SD."""
        return cls(n, mean or 0.0, (sd or 0.0) ** 2 * max(n - 1, 0))

    def add(self, value: float) -> None:
        self.n += 1
        step = value - self.mean
        self.mean += step / self.n
        self.squares += step * (value - self.mean)

    def merge(self, other: "Moments") -> None:
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
    """One scale at one study event.

    `unvalidated`: how many answered wording that is not validated. `rated`: of how many it can be said whether they
    respond.
    """

    expected: int = 0
    unvalidated: int = 0
    scores: Moments = field(default_factory=Moments)
    changes: Moments = field(default_factory=Moments)
    rated: int = 0
    responders: int = 0

    def add(self, scale: Scale, baseline: ScorePoint | None, later: ScorePoint) -> None:
        """Count one person's score; `baseline` is None where there is none, and at the baseline itself."""
        self.scores.add(later.value)
        self.unvalidated += later.basis is not None and not later.basis.validated
        difference = change(scale, baseline, later).difference if baseline is not None else None
        if difference is not None:
            self.changes.add(difference)
        responds = is_responder(scale, baseline, later)
        if responds is not None:
            self.rated += 1
            self.responders += responds

    def merge(self, other: "ScaleFigures") -> None:
        self.expected += other.expected
        self.unvalidated += other.unvalidated
        self.scores.merge(other.scores)
        self.changes.merge(other.changes)
        self.rated += other.rated
        self.responders += other.responders
