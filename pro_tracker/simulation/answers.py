"""Turns how a made-up person is into item answers: aims at a score, spreads its raw points over the items at random."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from random import Random

from pro_tracker.domain.instrument import Instrument, Item, Scale
from pro_tracker.simulation.figures import Figures


@dataclass(frozen=True)
class Traits:
    """One person: where each instrument starts, and how much they improve (standard normal, higher is better)."""

    baseline: Mapping[str, float]
    improvement: float


def draw_traits(figures: Figures, random: Random) -> Traits:
    """A person's starting scores and improvement."""
    starts = {code: random.gauss(each.baseline.mean, each.baseline.sd) for code, each in figures.instruments.items()}
    return Traits(starts, random.gauss(0, 1))


def answer(
    instrument: Instrument, event_code: str, traits: Traits, figures: Figures, random: Random
) -> dict[str, int | None]:
    """link_id -> option code, or None where the person skips the item. The same seed gives the same answers.

    Of an instrument that the figures do not know, such as a clinic's own, any option is as likely as the others.
    """
    if instrument.code in figures.instruments:
        scale = instrument.scale("total")
        points = _points(instrument, scale, _aim(instrument, scale, event_code, traits, figures, random), random)
    else:
        points = {item.link_id: random.choice(item.response_set.values) for item in instrument.items}
    skips = figures.answering.skips_an_item
    return {link_id: None if random.random() < skips else value for link_id, value in points.items()}


def _aim(
    instrument: Instrument, scale: Scale, event_code: str, traits: Traits, figures: Figures, random: Random
) -> float:
    """The score this person is at now: start, mean change of the event, and their own share of its spread."""
    expected = figures.instruments[instrument.code]
    mean_change = expected.change.get(event_code)
    if mean_change is None:
        return traits.baseline[instrument.code]
    shared = figures.shared_improvement
    own = shared * traits.improvement + sqrt(1 - shared**2) * random.gauss(0, 1)
    direction = -1 if scale.direction == "higher-worse" else 1
    return traits.baseline[instrument.code] + mean_change + direction * own * expected.change_sd


def _points(instrument: Instrument, scale: Scale, aim: float, random: Random) -> dict[str, int]:
    """Item answers whose raw score comes as near to the aim as the scale allows."""
    items = [instrument.item(link_id) for link_id in scale.items]
    scored = {item.link_id: item.scored_range[0] for item in items}
    highest = {item.link_id: item.scored_range[1] for item in items}
    for _ in range(_nearest_raw(scale, aim) - sum(scored.values())):
        scored[random.choice([each for each in scored if scored[each] < highest[each]])] += 1
    return {item.link_id: _code_for(item, scored[item.link_id]) for item in items}


def _nearest_raw(scale: Scale, aim: float) -> int:
    least, most = (int(end) for end in scale.raw_range)
    if scale.score_table is None:
        return min(max(round(aim), least), most)
    rows = scale.score_table.rows
    return min(range(least, most + 1), key=lambda raw: abs(rows[raw].t_score - aim))


def _code_for(item: Item, scored: int) -> int:
    """The option code that counts as `scored`: reversal undone."""
    return next(value for value in item.response_set.values if item.scored_value(value) == scored)
