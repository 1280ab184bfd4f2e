"""The format of an instrument file (docs/instrument-format.md): its schema, and its conversion to domain objects.

The schema checks each value by itself; instrument_checks.py checks whether they fit together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from pro_tracker.domain.adaptive import GradedItem, ItemBank
from pro_tracker.domain.instrument import (
    Alert,
    Band,
    ChangeCriterion,
    ChangeRule,
    Direction,
    Instrument,
    Item,
    Method,
    MissingRule,
    ResponderRule,
    ResponseOption,
    ResponseSet,
    Scale,
    ScoreTable,
    TScore,
)
from pro_tracker.services.instruments.data_files import FileModel, text_matching
from pro_tracker.services.instruments.item_parameters import ItemParameters, graded_items


def _loinc(code: str) -> str:
    """Returns the code. Raises ValueError if its check digit is wrong: mod 10, LOINC Users' Guide, appendix C."""
    body, _, digit = code.rpartition("-")
    total = 0
    for place, character in enumerate(reversed(body)):
        number = ord(character) - ord("0")  # the guide counts the letters L and A by their ASCII codes too
        is_doubled = place % 2 == 0
        total += 2 * number - number // 5 * 9 if is_doubled else number  # doubled, minus 9 for a carry
    if -total % 10 != int(digit):
        raise ValueError("is mistyped: the LOINC check digit does not fit")
    return code


Code = Annotated[
    str,
    StringConstraints(max_length=60),
    text_matching(r"[a-z0-9]+(-[a-z0-9]+)*", "small letters, digits and single hyphens, such as sleep-worry-3"),
]
LinkId = Annotated[
    str,
    StringConstraints(max_length=40),
    text_matching(r"[A-Za-z0-9_.-]+", "letters, digits, points, hyphens and underscores, such as SW1"),
]
Version = Annotated[
    str,
    StringConstraints(max_length=20),
    text_matching(r"\d+(\.\d+)*", 'numbers with points between them, such as "1.0"'),
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
Duration = Annotated[
    str, text_matching(r"P(\d+[DWMY]|T\d+H)", "a duration such as P7D, P1M or PT24H, or null for none")
]
Loinc = Annotated[str, text_matching(r"\d{1,7}-\d", "a LOINC code such as 75870-6"), AfterValidator(_loinc)]
LoincAnswer = Annotated[
    str, text_matching(r"LA\d{1,7}-\d", "a LOINC answer code such as LA6270-8"), AfterValidator(_loinc)
]
Positive = Annotated[float, Field(gt=0)]
OptionValue = Annotated[int, Field(ge=0, le=100)]


class OptionEntry(FileModel):
    value: OptionValue
    loinc: LoincAnswer | None = None


class ResponseSetEntry(FileModel):
    """The options of items: either listed or, for a numeric scale, the range from the least to the greatest number."""

    options: list[OptionEntry] | None = Field(None, min_length=2, max_length=20)
    range: Annotated[list[OptionValue], Field(min_length=2, max_length=2)] | None = None

    def build(self, code: str) -> ResponseSet:
        if self.range is None:
            options = [ResponseOption(option.value, option.loinc) for option in self.options or ()]
            return ResponseSet(code, tuple(options), "choice")
        least, greatest = self.range
        numbers = range(least, greatest + 1)
        return ResponseSet(code, tuple(map(ResponseOption, numbers)), "numeric")


class ItemEntry(FileModel):
    link_id: LinkId
    response_set: Code
    reversed: bool = False
    recode: dict[int, int] | None = None
    loinc: Loinc | None = None

    def build(self, response_sets: dict[str, ResponseSet]) -> Item:
        return Item(
            link_id=self.link_id,
            response_set=response_sets[self.response_set],
            reversed=self.reversed,
            loinc=self.loinc,
            recode=self.recode,
        )


class ScoreTableEntry(FileModel):
    population: Text
    source: Text
    rows: list[Annotated[list[float], Field(min_length=3, max_length=3)]] = Field(min_length=2)

    def build(self) -> ScoreTable:
        rows: dict[int, TScore] = {}
        for raw, t_score, error in self.rows:
            rows[int(raw)] = TScore(float(t_score), float(error))
        return ScoreTable(rows, self.population, self.source)


class BandEntry(FileModel):
    code: Code
    lower: float | None = None
    upper: float | None = None


class BandsEntry(FileModel):
    source: Text
    steps: list[BandEntry] = Field(min_length=1)

    def build(self) -> tuple[Band, ...]:
        bands = [Band(step.lower, step.upper, step.code) for step in self.steps]
        return tuple(bands)


class CriterionEntry(FileModel):
    points: Positive | None = None
    percent: Positive | None = None
    baseline_at_most: float | None = None
    baseline_above: float | None = None
    only: Literal["improvement", "worsening"] | None = None


class ChangeEntry(FileModel):
    source: Text
    any_of: list[CriterionEntry] = Field(min_length=1)
    group_points: Positive | None = None
    detectable_change: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None

    def build(self) -> ChangeRule:
        criteria = tuple(ChangeCriterion(**dict(criterion)) for criterion in self.any_of)
        detectable_change = None
        if self.detectable_change is not None:
            least, greatest = self.detectable_change
            detectable_change = (least, greatest)
        return ChangeRule(criteria, self.source, self.group_points, detectable_change)


class ResponderEntry(FileModel):
    source: Text
    at_most: float | None = None
    at_least: float | None = None

    def build(self) -> ResponderRule:
        return ResponderRule(self.source, self.at_most, self.at_least)


class MissingEntry(FileModel):
    source: Text
    prorate_min_answered: Annotated[int, Field(ge=1)] | None = None

    def build(self) -> MissingRule:
        return MissingRule(self.source, self.prorate_min_answered)


class ScaleEntry(FileModel):
    code: Code
    items: list[LinkId] = Field(min_length=1)
    method: Method
    direction: Direction
    missing_items: MissingEntry
    verification: Text
    score_table: ScoreTableEntry | None = None
    bands: BandsEntry | None = None
    change: ChangeEntry | None = None
    responder: ResponderEntry | None = None
    loinc: Loinc | None = None

    def build(self, items: dict[str, Item]) -> Scale:
        """Returns the scale; `items` are those of the instrument, by link_id."""
        own_items = [items[link_id] for link_id in self.items]
        return Scale(
            code=self.code,
            items=tuple(self.items),
            method=self.method,
            direction=self.direction,
            raw_range=raw_range(self.method, own_items),
            missing=self.missing_items.build(),
            verification=self.verification,
            score_table=self.score_table.build() if self.score_table else None,
            bands=self.bands.build() if self.bands else (),
            bands_source=self.bands.source if self.bands else None,
            change_rule=self.change.build() if self.change else None,
            responder_rule=self.responder.build() if self.responder else None,
            loinc=self.loinc,
        )


class AdaptiveEntry(FileModel):
    """The keys of an adaptive test: the file of the clinic's item parameters, and the stopping rule."""

    parameters: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@-]*\.csv$", max_length=100)]
    population: Text
    source: Text
    stop_at_standard_error: Annotated[float, Field(gt=0, lt=10)] = 3.0
    least_items: Annotated[int, Field(ge=1)] = 4
    most_items: Annotated[int, Field(ge=1, le=50)] = 12

    def build(self, items: tuple[GradedItem, ...]) -> ItemBank:
        return ItemBank(
            items=items,
            population=self.population,
            source=self.source,
            stop_at_standard_error=self.stop_at_standard_error,
            least_items=self.least_items,
            most_items=self.most_items,
        )


ANY_ITEM = "any"


def _any_item(value: Any) -> Any:
    """Reads `any`, alone, as the list of one."""
    return [ANY_ITEM] if value == ANY_ITEM else value


class AlertEntry(FileModel):
    """A rule for one item, for several, or for every item of the instrument (`items: any`)."""

    item: LinkId | None = None
    items: Annotated[list[LinkId], Field(min_length=1), BeforeValidator(_any_item)] | None = None
    at_least: OptionValue
    reason: Text
    crisis_line: bool = True

    def named_items(self, all_items: Iterable[str]) -> tuple[str, ...]:
        """Returns the link_ids of the rule's items."""
        if self.items == [ANY_ITEM]:
            return tuple(all_items)
        return (self.item,) if self.item is not None else tuple(self.items or ())

    def build(self, all_items: Iterable[str]) -> Alert:
        return Alert(self.named_items(all_items), self.at_least, self.reason, self.crisis_line)


class InstrumentFile(FileModel):
    """One instrument file as written."""

    code: Code
    version: Version
    title: Text
    recall_period: Duration | None
    loinc: Loinc | None = None
    kind: Literal["fixed", "adaptive"] = "fixed"
    adaptive: AdaptiveEntry | None = None
    scoring_version: Version
    licence: Text
    source: Text
    response_sets: dict[Code, ResponseSetEntry] = Field(min_length=1)
    items: list[ItemEntry] = Field(min_length=1, max_length=200)
    scales: list[ScaleEntry] = Field(min_length=1)
    free_text: bool = False
    alerts: list[AlertEntry] = Field([], max_length=20)

    def build_items(self) -> dict[str, Item]:
        """Returns the items by link_id. Their response sets must have passed instrument_checks.errors."""
        response_sets = {code: entry.build(code) for code, entry in self.response_sets.items()}
        items: dict[str, Item] = {}
        for entry in self.items:
            items[entry.link_id] = entry.build(response_sets)
        return items

    def build(self, parameters: Sequence[ItemParameters] = ()) -> Instrument:
        """Returns the instrument. File and item parameters must have passed their checks."""
        items = self.build_items()
        bank = None
        if self.adaptive is not None:
            bank_items = graded_items(parameters, tuple(items.values()))
            bank = self.adaptive.build(bank_items)
        scales = [scale.build(items) for scale in self.scales]
        return Instrument(
            code=self.code,
            version=self.version,
            title=self.title,
            recall_period=self.recall_period,
            items=tuple(items.values()),
            scales=tuple(replace(scale, bank=bank) for scale in scales),
            scoring_version=self.scoring_version,
            licence=self.licence,
            source=self.source,
            loinc=self.loinc,
            free_text=self.free_text,
            alerts=tuple(alert.build(items) for alert in self.alerts),
        )


def raw_range(method: Method, items: list[Item]) -> tuple[float, float]:
    """Returns the least and the greatest raw score, in points, that complete answers to these items can give."""
    ranges = [item.scored_range for item in items]
    lowest = sum(least for least, _greatest in ranges)
    highest = sum(greatest for _least, greatest in ranges)
    if method == "mean":
        return lowest / len(items), highest / len(items)
    return lowest, highest
