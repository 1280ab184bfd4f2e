"""An instrument as data: items, response sets, scales, score tables and their rules.

Read from the instrument files; scoring.py and change.py apply the rules. The wording is in text packs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pro_tracker.domain.adaptive import ItemBank
from pro_tracker.domain.errors import InvalidInstrument, UnknownItem

FREE_TEXT = "free-text"  # in place of a link_id: the free line after the last item
Direction = Literal["higher-worse", "higher-better"]
Method = Literal["sum", "mean", "graded-response"]


@dataclass(frozen=True, slots=True)
class ResponseOption:
    """One option: `value` is the answer code that is stored, `code` its LOINC answer code where known."""

    value: int
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseSet:
    """The options of an item in the order shown; `numeric` is a rating scale (such as 0 to 10) with labelled ends."""

    code: str
    options: tuple[ResponseOption, ...]
    kind: Literal["choice", "numeric"] = "choice"

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(option.value for option in self.options)


@dataclass(frozen=True, slots=True)
class Item:
    """One item. The stored answer is the option's code; `scored_value` reverses or recodes it for scoring."""

    link_id: str
    response_set: ResponseSet
    reversed: bool = False
    loinc: str | None = None
    recode: Mapping[int, int] | None = field(default=None, hash=False)

    def scored_value(self, answer: int) -> int:
        """Returns the value of an answer code in scoring: itself, reversed (6 - code for 1..5), or recoded."""
        if self.recode is not None:
            return self.recode[answer]
        if self.reversed:
            codes = self.response_set.values
            return min(codes) + max(codes) - answer
        return answer

    @property
    def scored_range(self) -> tuple[int, int]:
        """Lowest and highest scored value of one answer."""
        values = [self.scored_value(value) for value in self.response_set.values]
        return min(values), max(values)


@dataclass(frozen=True, slots=True)
class TScore:
    """A T-score and its standard error, in T points with one decimal (mean 50, SD 10 in the reference population)."""

    t_score: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Raw score of a complete form -> T-score. `population` is the reference population with a mean of 50."""

    rows: Mapping[int, TScore] = field(hash=False)
    population: str
    source: str

    @property
    def t_range(self) -> tuple[float, float]:
        scores = [row.t_score for row in self.rows.values()]
        return min(scores), max(scores)


@dataclass(frozen=True, slots=True)
class Band:
    """A severity band. A bound of None is open; a value on a bound belongs to the worse of the two bands."""

    lower: float | None
    upper: float | None
    code: str


@dataclass(frozen=True, slots=True)
class ChangeCriterion:
    """One size of change that matters (minimal important change), in points or in percent of baseline.

    `baseline_at_most` and `baseline_above` limit it to the baselines of its source; `only` to the direction that the
    source studied.
    """

    points: float | None = None
    percent: float | None = None
    baseline_at_most: float | None = None
    baseline_above: float | None = None
    only: Literal["improvement", "worsening"] | None = None


@dataclass(frozen=True, slots=True)
class ChangeRule:
    """A person's change matters when any criterion is met. `group_points` is for a difference of group means.

    `detectable_change` (points, lowest and highest reported) is given where no standard error per score is published.
    """

    any_of: tuple[ChangeCriterion, ...]
    source: str
    group_points: float | None = None
    detectable_change: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ResponderRule:
    """The rule of a scale that asks about change itself: a responder scores within the bounds; needs no baseline."""

    source: str
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, slots=True)
class MissingRule:
    """Every item is needed, unless the publisher allows pro-rating from `prorate_min_answered` items upwards."""

    source: str
    prorate_min_answered: int | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """One score of an instrument. `verification` describes how its scoring was checked; staff read it unchanged."""

    code: str
    items: tuple[str, ...]
    method: Method
    direction: Direction
    raw_range: tuple[float, float]
    missing: MissingRule
    verification: str
    score_table: ScoreTable | None = None
    bands: tuple[Band, ...] = ()
    bands_source: str | None = None
    change_rule: ChangeRule | None = None
    responder_rule: ResponderRule | None = None
    loinc: str | None = None
    bank: ItemBank | None = None  # of an adaptive test: T-scores come from it, and there is no raw score
    compares_mixed_wording: bool = False  # as the protocol says, see domain/protocol.py

    @property
    def t_scores(self) -> ScoreTable | ItemBank | None:
        """Source of the T-scores; None without any."""
        return self.score_table or self.bank

    @property
    def has_t(self) -> bool:
        """Returns whether charts, change and export use the T-score; else they use the raw score."""
        return self.t_scores is not None

    @property
    def has_raw(self) -> bool:
        """Returns whether there is a raw score: those of an adaptive test are of different items, not comparable."""
        return self.bank is None

    def shown_value(self, raw_score: float | None, t_score: float | None) -> float | None:
        """The one of the two scores that charts, change and export use; None where it is missing."""
        return t_score if self.has_t else raw_score

    @property
    def value_range(self) -> tuple[float, float]:
        """Lowest and highest value of this scale, in T points where it has T-scores, else in raw points."""
        return self.t_scores.t_range if self.t_scores else self.raw_range


@dataclass(frozen=True, slots=True)
class Alert:
    """Answers that a person must act on the same day: the codes of `items` from `at_least` up. `reason` is for staff.

    `crisis_line`: whether its pages offer the crisis line, as for thoughts of self-harm.
    """

    items: tuple[str, ...]
    at_least: int
    reason: str
    crisis_line: bool = True

    def is_raised_by(self, link_id: str, value: int) -> bool:
        """Returns whether this answer, an option code, raises the alert."""
        return link_id in self.items and value >= self.at_least


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """One answer that raises alerts, and their rules."""

    link_id: str
    value: int
    rules: tuple[Alert, ...]

    @property
    def crisis_line(self) -> bool:
        """Returns whether its pages offer the crisis line."""
        return any(rule.crisis_line for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A validated measure in one version; immutable once released. `recall_period` is an ISO 8601 duration or None."""

    code: str
    version: str
    title: str
    recall_period: str | None
    items: tuple[Item, ...]
    scales: tuple[Scale, ...]
    scoring_version: str
    licence: str
    source: str
    loinc: str | None = None
    free_text: bool = False  # whether a free line follows the last item, for staff to read; it is no answer
    alerts: tuple[Alert, ...] = ()  # with any, only a protocol that names a response plan may ask for the instrument

    @property
    def bank(self) -> ItemBank | None:
        """The item bank of an adaptive test, which has one scale; None for a fixed form."""
        return self.scales[0].bank

    def item(self, link_id: str) -> Item:
        """Returns the item, or raises UnknownItem."""
        for item in self.items:
            if item.link_id == link_id:
                return item
        known = ", ".join(item.link_id for item in self.items)
        raise UnknownItem(f"{self.code} has no item {link_id[:40]!r}; its items are {known}.", field=link_id)

    @property
    def is_checklist(self) -> bool:
        """Returns whether the instrument lists effects, and scores how many of them count: 0 or 1 for each item."""
        return len(self.items) > 1 and all(item.recode and item.scored_range == (0, 1) for item in self.items)

    def alerts_in(self, answers: Mapping[str, int | None]) -> tuple[RaisedAlert, ...]:
        """Returns the answers that raise alerts, in their order; an unanswered item raises none."""
        raised = (self.alert_of(link_id, value) for link_id, value in answers.items() if value is not None)
        return tuple(each for each in raised if each is not None)

    def alert_of(self, link_id: str, value: int) -> RaisedAlert | None:
        """Returns the alert that this answer raises; None if it raises none."""
        rules = tuple(rule for rule in self.alerts if rule.is_raised_by(link_id, value))
        return RaisedAlert(link_id, value, rules) if rules else None

    def scale(self, code: str) -> Scale:
        """Returns the scale, or raises InvalidInstrument."""
        for scale in self.scales:
            if scale.code == code:
                return scale
        known = ", ".join(scale.code for scale in self.scales)
        raise InvalidInstrument(f"{self.code} has no scale {code!r}; it has {known}.")


@dataclass(frozen=True, slots=True)
class TextPack:
    """The wording of one instrument in one language. `options`: response set -> value -> label (numeric: ends only)."""

    instrument_code: str
    language: str
    version: str
    validated: bool
    title: str
    instruction: str
    items: Mapping[str, str] = field(hash=False)
    options: Mapping[str, Mapping[int, str]] = field(hash=False)
    scales: Mapping[str, str] = field(hash=False)
    licence: str = ""
    emergencies: Mapping[str, str] = field(default_factory=dict, hash=False)  # link_id -> "Pressure in your chest now?"
