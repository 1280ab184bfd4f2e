"""Generates item answers of a synthetic patient: draws a score, and distributes its raw points over the items."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from random import Random

from pro_tracker.domain.instrument import Instrument, Item, Scale
from pro_tracker.simulation.parameters import SimulationParameters


@dataclass(frozen=True)
class PatientTraits:
    """`baseline`: instrument code -> score. `improvement`: a standard normal value; higher means better."""

    baseline: Mapping[str, float]
    improvement: float


def draw_traits(parameters: SimulationParameters, random: Random) -> PatientTraits:
    """Draws the baseline scores and the improvement of one patient."""
    baseline: dict[str, float] = {}
    for code, instrument in parameters.instruments.items():
        baseline[code] = random.gauss(instrument.baseline.mean, instrument.baseline.sd)
    return PatientTraits(baseline, random.gauss(0, 1))


@dataclass(frozen=True)
class AnswerGenerator:
    """Draws one patient's answers. Equal states of `random` give equal answers."""

    parameters: SimulationParameters
    traits: PatientTraits
    random: Random

    def draw_answers(self, instrument: Instrument, event_code: str) -> dict[str, int | None]:
        """Returns link_id -> option code, or None for a skipped item.

        An instrument without parameters, such as a clinic's own, gets uniformly distributed options.
        """
        if instrument.code in self.parameters.instruments:
            codes = self._codes_for_score(instrument, event_code)
        elif instrument.code in self.parameters.options:
            codes = self._codes_by_share(instrument)
        else:
            codes = self._uniform_codes(instrument)
        answers: dict[str, int | None] = {}
        for link_id, code in codes.items():
            is_skipped = self.random.random() < self.parameters.responses.skipped_item
            answers[link_id] = None if is_skipped else code
        return answers

    def _uniform_codes(self, instrument: Instrument) -> dict[str, int]:
        codes: dict[str, int] = {}
        for item in instrument.items:
            codes[item.link_id] = self.random.choice(item.response_set.values)
        return codes

    def _codes_by_share(self, instrument: Instrument) -> dict[str, int]:
        """Returns option codes that are as frequent as the parameters say."""
        shares = self.parameters.options[instrument.code]
        codes: dict[str, int] = {}
        for item in instrument.items:
            weights = shares.items.get(item.link_id, shares.every_item)
            codes[item.link_id] = self.random.choices(item.response_set.values, weights)[0]
        return codes

    def _codes_for_score(self, instrument: Instrument, event_code: str) -> dict[str, int]:
        """Returns option codes whose raw score is as close to a drawn score as the scale allows."""
        scale = instrument.scale("total")
        score = self._draw_score(instrument.code, scale, event_code)
        items = [instrument.item(link_id) for link_id in scale.items]
        points = self._distribute(_closest_raw_score(scale, score), items)
        return {item.link_id: _option_code(item, points[item.link_id]) for item in items}

    def _draw_score(self, code: str, scale: Scale, event_code: str) -> float:
        """Returns the baseline score plus the event's mean change and the patient's own deviation from it."""
        baseline = self.traits.baseline[code]
        expected = self.parameters.instruments[code]
        mean_change = expected.change.get(event_code)
        if mean_change is None:
            return baseline
        # The deviation correlates with the patient's improvement on all scales; its variance stays 1.
        correlation = self.parameters.shared_improvement
        specific = sqrt(1 - correlation**2) * self.random.gauss(0, 1)
        deviation = correlation * self.traits.improvement + specific
        direction = -1 if scale.direction == "higher-worse" else 1
        return baseline + mean_change + direction * deviation * expected.change_sd

    def _distribute(self, raw_score: int, items: list[Item]) -> dict[str, int]:
        """Returns link_id -> points, in total `raw_score`: starts at the minimum and adds single points at random."""
        points = {item.link_id: item.scored_range[0] for item in items}
        highest = {item.link_id: item.scored_range[1] for item in items}
        for _ in range(raw_score - sum(points.values())):
            below_highest = [link_id for link_id in points if points[link_id] < highest[link_id]]
            link_id = self.random.choice(below_highest)
            points[link_id] += 1
        return points


def _closest_raw_score(scale: Scale, score: float) -> int:
    minimum, maximum = (int(limit) for limit in scale.raw_range)
    if scale.score_table is None:
        return min(max(round(score), minimum), maximum)
    rows = scale.score_table.rows

    def distance(raw_score: int) -> float:
        return abs(rows[raw_score].t_score - score)

    return min(range(minimum, maximum + 1), key=distance)


def _option_code(item: Item, points: int) -> int:
    """Returns the option code that scores these points, also for reversed items."""
    for code in item.response_set.values:
        if item.scored_value(code) == points:
            return code
    raise ValueError(f"no option of {item.link_id} scores {points} points")
