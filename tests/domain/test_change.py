"""Verdicts on change: beyond both the meaningful size and measurement error, in the direction of the scale."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from pro_tracker.domain.change import Basis, ScorePoint, band, change, is_responder, reliable_change_limit
from pro_tracker.domain.instrument import Scale
from pro_tracker.services.instruments import instrument_catalog
from tests.support import example_instrument

PAIN = instrument_catalog.instrument("promis-pain-interference-8a").scale("total")
FATIGUE = instrument_catalog.instrument("promis-fatigue-8a").scale("total")
ROLES = instrument_catalog.instrument("promis-satisfaction-social-roles-4a").scale("total")
PCS = instrument_catalog.instrument("pcs").scale("total")
RUMINATION = instrument_catalog.instrument("pcs").scale("rumination")
NRS = instrument_catalog.instrument("pain-intensity-nrs").scale("total")
PGIC = instrument_catalog.instrument("pgic").scale("total")


def at(value: float, standard_error: float | None = None) -> ScorePoint:
    return ScorePoint(value, standard_error)


@pytest.mark.parametrize(
    ("scale", "baseline", "later", "verdict"),
    [
        (PAIN, at(66.2, 1.3), at(61.2, 1.3), "improved"),
        (PAIN, at(66.2, 1.3), at(61.3, 1.3), "within-error"),
        (PAIN, at(61.2, 1.3), at(66.2, 1.3), "worsened"),
        (PAIN, at(59.1, 1.3), at(54.1, 1.3), "improved"),  # 4.9999... in binary floating point
        (PAIN, at(77.0, 3.5), at(70.1, 1.4), "within-error"),  # meaningful, but the error limit is 7.4
        (ROLES, at(40.9, 2.4), at(47.8, 2.4), "improved"),
        (ROLES, at(47.8, 2.4), at(40.9, 2.4), "worsened"),
        (ROLES, at(40.9, 2.4), at(46.0, 2.4), "within-error"),  # meaningful, but the error limit is 6.7
        (PCS, at(30), at(22), "improved"),
        (PCS, at(30), at(23), "within-error"),
        (PCS, at(31), at(21), "within-error"),
        (PCS, at(31), at(20), "improved"),
        (PCS, at(20), at(28), "worsened"),
        (NRS, at(8), at(6), "improved"),
        (NRS, at(3), at(2), "improved"),  # 33 %
        (NRS, at(4), at(3), "within-error"),  # 25 %
        (NRS, at(1), at(2), "within-error"),  # the 30 % rule was established for reductions only
        (NRS, at(1), at(3), "worsened"),
        (NRS, at(0), at(0), "within-error"),
        (PGIC, at(2), at(1), None),  # no agreed meaningful size
        (RUMINATION, at(16), at(0), None),
    ],
)
def test_a_verdict_needs_a_change_beyond_both_the_meaningful_size_and_the_error_limit(
    scale: Scale, baseline: ScorePoint, later: ScorePoint, verdict: str | None
) -> None:
    assert change(scale, baseline, later).verdict == verdict


ASKED = Basis("1.0", "en", "1.0", validated=False)


@pytest.mark.parametrize(
    ("other", "obstacle"),
    [
        (Basis("2.0", "en", "1.0", validated=False), "different-form"),
        (Basis("1.0", "es", "1.0", validated=False), "different-wording"),
        (Basis("1.0", "en", "1.1", validated=False), "different-wording"),
        (Basis("1.0", "en", "1.0", validated=True), "different-wording"),
        (Basis("2.0", "es", "1.0", validated=False), "different-form"),
    ],
)
def test_scores_of_another_form_or_text_pack_are_not_compared(other: Basis, obstacle: str) -> None:
    result = change(PAIN, ScorePoint(66.2, 1.3, ASKED), ScorePoint(51.2, 1.3, other))
    assert (result.verdict, result.obstacle) == ("not-comparable", obstacle)
    assert (result.difference, result.meaningful, result.reliable, result.error_limit) == (None, None, None, None)
    assert is_responder(PAIN, ScorePoint(66.2, 1.3, ASKED), ScorePoint(51.2, 1.3, other)) is None


def test_scores_of_the_same_form_and_text_pack_are_compared() -> None:
    result = change(PAIN, ScorePoint(66.2, 1.3, ASKED), ScorePoint(51.2, 1.3, ASKED))
    assert (result.verdict, result.obstacle, result.difference) == ("improved", None, -15.0)


@pytest.mark.parametrize("other", [ASKED, replace(ASKED, is_mixed=True)])
def test_scores_of_mixed_wording_are_compared_only_where_the_protocol_says_so(other: Basis) -> None:
    mixed = ScorePoint(51.2, 1.3, replace(ASKED, is_mixed=True, validated=True))
    assert change(PAIN, ScorePoint(66.2, 1.3, other), mixed).obstacle == "different-wording"
    compared = replace(PAIN, compares_mixed_wording=True)
    assert change(compared, ScorePoint(66.2, 1.3, other), mixed).difference == -15.0
    of_most = replace(ASKED, is_mixed=True, language="es")
    assert change(compared, ScorePoint(66.2, 1.3, other), ScorePoint(51.2, 1.3, of_most)).difference is None


def test_a_change_names_its_rule() -> None:
    result = change(PAIN, at(77.0, 3.5), at(70.1, 1.4))
    assert (result.difference, result.threshold, result.error_limit) == (-6.9, 5, 7.39)
    assert (result.meaningful, result.reliable) == (True, False)
    assert "Norman 2003" in result.source


def test_without_standard_errors_reliability_is_unknown_and_the_rule_decides_alone() -> None:
    result = change(PCS, at(40), at(28))
    assert (result.reliable, result.error_limit, result.threshold, result.verdict) == (None, None, 11, "improved")
    assert PCS.change_rule is not None
    assert PCS.change_rule.detectable_change == (7.7, 10.5)


def test_a_scale_without_a_rule_says_so() -> None:
    result = change(RUMINATION, at(16), at(0))
    assert (result.meaningful, result.threshold, result.verdict) == (None, None, None)
    assert result.source == "No size of change that matters is agreed for this scale."


def test_a_percentage_of_a_zero_baseline_is_no_size() -> None:
    mean = example_instrument.instrument().scale("mean")
    assert change(mean, at(0), at(5)).verdict is None
    assert change(mean, at(5), at(3.5)).verdict == "improved"
    assert change(mean, at(5), at(3.6)).verdict == "within-error"


@pytest.mark.parametrize(
    ("errors", "limit"),
    [((1.3, 1.3), 3.6), ((1.7, 1.7), 4.7), ((2.4, 2.4), 6.7)],
)
def test_the_error_limit_is_that_of_two_scores_at_95_percent(errors: tuple[float, float], limit: float) -> None:
    found = reliable_change_limit(at(60, errors[0]), at(50, errors[1]))
    assert found is not None
    assert round(found, 1) == limit


@pytest.mark.parametrize(
    ("scale", "value", "code"),
    [
        (PAIN, 54.9, "none"),
        (PAIN, 55.0, "mild"),
        (PAIN, 60.0, "moderate"),
        (PAIN, 69.9, "moderate"),
        (PAIN, 70.0, "severe"),
        (FATIGUE, 33.1, "none"),
        (ROLES, 63.8, "none"),
        (ROLES, 45.1, "none"),
        (ROLES, 45.0, "mild"),
        (ROLES, 40.0, "moderate"),
        (ROLES, 30.0, "severe"),
        (PCS, 30, "relevant"),
        (PCS, 29, None),
        (NRS, 10, None),
        (PGIC, 7, None),
    ],
)
def test_a_value_on_a_bound_belongs_to_the_worse_band(scale: Scale, value: float, code: str | None) -> None:
    found = band(scale, value)
    assert (found.code if found else None) == code


@pytest.mark.parametrize(
    ("scale", "baseline", "later", "responder"),
    [
        (PAIN, at(66.2, 1.3), at(61.2, 1.3), True),
        (PAIN, at(61.2, 1.3), at(66.2, 1.3), False),
        (PAIN, None, at(61.2, 1.3), None),
        (ROLES, at(40.9, 2.4), at(46.0, 2.4), True),  # responders are counted without the error limit
        (PCS, at(40), at(29), True),
        (PCS, at(40), at(30), False),
        (RUMINATION, at(10), at(2), None),
        (NRS, at(5), at(5), False),
        (PGIC, None, at(1), True),
        (PGIC, None, at(2), True),
        (PGIC, None, at(3), False),
        (PGIC, at(3), at(2), True),
    ],
)
def test_a_responder_improved_by_a_size_that_matters(
    scale: Scale, baseline: ScorePoint | None, later: ScorePoint, responder: bool | None
) -> None:
    assert is_responder(scale, baseline, later) is responder


OPPOSITE = {"improved": "worsened", "worsened": "improved", "within-error": "within-error"}


@given(st.integers(300, 800), st.integers(300, 800), st.integers(10, 60), st.integers(10, 60))
def test_the_reverse_change_has_the_opposite_verdict(first: int, second: int, error_1: int, error_2: int) -> None:
    a, b = at(first / 10, error_1 / 10), at(second / 10, error_2 / 10)
    there, back = change(PAIN, a, b), change(PAIN, b, a)
    assert there.verdict
    assert back.verdict == OPPOSITE[there.verdict]
    assert change(ROLES, a, b).verdict == back.verdict  # higher is better there


@given(st.integers(300, 800), st.integers(300, 800), st.integers(10, 60))
def test_a_change_within_the_error_limit_is_neither_improved_nor_worsened(first: int, second: int, error: int) -> None:
    result = change(PAIN, at(first / 10, error / 10), at(second / 10, error / 10))
    assert result.error_limit is not None
    assert result.difference is not None
    if abs(result.difference) <= result.error_limit - 0.01:
        assert result.verdict == "within-error"
