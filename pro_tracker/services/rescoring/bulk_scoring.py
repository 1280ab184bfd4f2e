"""Scores many responses of one instrument at once with numpy; its rules are those of domain/scoring.py.

A scale's score depends on two numbers, the sum and the count of what was answered. Each pair is scored once, by the
rules themselves, and looked up from then on: agreement with the scoring of one response is by construction.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pro_tracker.domain import scoring
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.instrument import Instrument, Item, Scale
from pro_tracker.domain.response_codes import ScoreStatus
from pro_tracker.domain.scoring import ScaleScore

MISSING = -1  # an item that was not answered
UNUSABLE = -2  # what was given is no answer code at all; never a zero and never missing
CHUNK = 1 << 15  # responses at a time: what is worked on stays in the processor's cache
LARGEST = 127  # no answer code is greater: the file format allows 0 to 100
BYTES = 256  # an answer is looked up by its byte; that of MISSING is 255

Answers = NDArray[np.integer[Any]]
Column = NDArray[np.float64]


@dataclass(frozen=True)
class BulkScores:
    """One scale of n responses: `numbers` says for each which of the `outcomes` it has."""

    scale: Scale
    numbers: NDArray[np.int32]
    outcomes: tuple[ScaleScore, ...]

    def __getitem__(self, response: int) -> ScaleScore:
        return self.outcomes[int(self.numbers[response])]

    @cached_property
    def raw_score(self) -> Column:
        """Points, NaN where there is no score."""
        return self._numbers_of("raw_score")

    @cached_property
    def t_score(self) -> Column:
        """T points with one decimal, NaN where there is none."""
        return self._numbers_of("t_score")

    @cached_property
    def standard_error(self) -> Column:
        """T points with one decimal, NaN where there is none."""
        return self._numbers_of("standard_error")

    @cached_property
    def n_answered(self) -> NDArray[np.int16]:
        return np.array([each.n_answered for each in self.outcomes], np.int16)[self.numbers]

    @cached_property
    def scored(self) -> NDArray[np.bool_]:
        """Whether the status is "scored"."""
        return np.array([each.status == ScoreStatus.SCORED for each in self.outcomes], np.bool_)[self.numbers]

    def _numbers_of(self, name: str) -> Column:
        values = [getattr(each, name) for each in self.outcomes]
        return np.array([np.nan if value is None else value for value in values], np.float64)[self.numbers]


class BulkScorer:
    """Scores responses of one instrument, all with or all without the publisher's pro-rating."""

    def __init__(self, instrument: Instrument, *, prorate: bool = False) -> None:
        self.instrument = instrument
        self._known = [_known(item) for item in instrument.items]
        self._tables = [_Table(instrument, scale, prorate) for scale in instrument.scales]

    def score(self, answers: Answers) -> tuple[BulkScores, ...]:
        """Score every scale, in the instrument's order.

        `answers`: one row a response, one column an item in the instrument's order, codes or MISSING; int8 is fastest.
        Raises AnswerOutOfRange for the first answer that is not an option code of its item, and InvalidInput for an
        adaptive test, whose score depends on more than a sum.
        """
        if self.instrument.bank is not None:
            raise InvalidInput("The responses to an adaptive test are scored one by one.")
        usable = self.usable(answers)
        if not usable.all():
            first = _as_bytes(answers[np.argmin(usable)][np.newaxis])[0]
            faulty = (known[code] for known, code in zip(self._known, first, strict=True))
            raise scoring.out_of_range(self.instrument.items[list(faulty).index(False)])
        numbers = [np.empty(len(answers), np.int32) for _ in self._tables]
        for part, columns in _chunks(answers):
            for table, found in zip(self._tables, numbers, strict=True):
                found[part] = table.numbers(columns)
        scored = zip(self._tables, numbers, strict=True)
        return tuple(BulkScores(table.scale, found, tuple(table.outcomes)) for table, found in scored)

    def usable(self, answers: Answers) -> NDArray[np.bool_]:
        """Which rows hold nothing but option codes and MISSING."""
        if answers.ndim != 2 or answers.shape[1] != len(self._known) or answers.dtype.kind not in "iu":
            raise InvalidInput(f"Answers must be whole numbers in {len(self._known)} columns, one an item.")
        usable = np.ones(len(answers), np.bool_)
        for part, columns in _chunks(answers):
            for known, column in zip(self._known, columns, strict=True):
                usable[part] &= known[column]
        return usable


def as_array(instrument: Instrument, answers: Sequence[Mapping[str, object]]) -> NDArray[np.int8]:
    """Stored answers (link_id -> code, None: skipped) as an array for the scorer.

    What is no answer code becomes UNUSABLE; so does the whole row when it names an item that the instrument lacks.
    """
    link_ids = [item.link_id for item in instrument.items]
    known, unusable = frozenset(link_ids), [UNUSABLE] * len(link_ids)
    rows = [
        [_code(given.get(link_id)) for link_id in link_ids] if given.keys() <= known else unusable for given in answers
    ]
    return np.array(rows, np.int8).reshape(len(rows), len(link_ids))


def score_stored(
    instrument: Instrument, answers: Sequence[Mapping[str, Any]], *, prorate: bool = False
) -> tuple[NDArray[np.bool_], tuple[BulkScores, ...]]:
    """Which of the stored answers can be scored, and the scores of these.

    An adaptive test has no table to look up: each response to one is scored by itself.
    """
    array = as_array(instrument, answers)
    scorer = BulkScorer(instrument, prorate=prorate)
    usable = scorer.usable(array)
    if instrument.bank is None:
        return usable, scorer.score(array[usable])
    sound = [given for given, each in zip(answers, usable, strict=True) if each]
    outcomes = tuple(scoring.score(instrument, _given(each), prorate=prorate)[0] for each in sound)
    return usable, (BulkScores(instrument.scales[0], np.arange(len(sound), dtype=np.int32), outcomes),)


def _given(answers: Mapping[str, Any]) -> dict[str, int]:
    return {link_id: answer for link_id, answer in answers.items() if answer is not None}


def _code(answer: object) -> int:
    if answer is None:
        return MISSING
    return answer if type(answer) is int and 0 <= answer <= LARGEST else UNUSABLE


class _Table:
    """The scores that one scale can have, each worked out when it first occurs."""

    def __init__(self, instrument: Instrument, scale: Scale, prorate: bool) -> None:
        self.scale, self.outcomes, self._prorate = scale, list[ScaleScore](), prorate
        items = [(column, item) for column, item in enumerate(instrument.items) if item.link_id in scale.items]
        self._least = min(item.scored_range[0] for _, item in items)
        spans = [item.scored_range[1] - self._least for _, item in items]
        # One number holds both: each answer adds 1 to the count, `_one`, and its value above the least to the sum.
        self._one = sum(spans) + 1
        self._parts = [(column, self._codes(item)) for column, item in items]
        self._number = np.full(self._one * (len(items) + 1), -1, np.int32)

    def _codes(self, item: Item) -> NDArray[np.int32]:
        codes = np.zeros(BYTES, np.int32)  # MISSING adds nothing
        for value in item.response_set.values:
            codes[value] = self._one + item.scored_value(value) - self._least
        return codes

    def numbers(self, columns: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The number of each response's outcome; `columns` holds the answers of one item a row."""
        codes = np.zeros(columns.shape[1], np.int32)
        for column, part in self._parts:
            codes += part[columns[column]]
        numbers = self._number[codes]
        new = codes[numbers < 0]
        if new.size:
            self._work_out(np.unique(new).tolist())
            numbers = self._number[codes]
        return numbers

    def _work_out(self, codes: list[int]) -> None:
        for code in codes:
            n_answered, above = divmod(code, self._one)
            total = above + n_answered * self._least
            self._number[code] = len(self.outcomes)
            self.outcomes.append(scoring.score_sum(self.scale, total, n_answered, prorate=self._prorate))


def _known(item: Item) -> NDArray[np.bool_]:
    known = np.zeros(BYTES, np.bool_)
    known[[*item.response_set.values, MISSING]] = True
    return known


def _chunks(answers: Answers) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Parts of the rows, each with its answers as bytes and turned: one item a row."""
    for start in range(0, len(answers), CHUNK):
        part = slice(start, start + CHUNK)
        yield part, np.ascontiguousarray(_as_bytes(answers[part]).T)


def _as_bytes(answers: Answers) -> NDArray[np.uint8]:
    if answers.dtype != np.int8:  # a code beyond a byte must not wrap round to one that exists
        beyond = (answers < MISSING) | (answers > LARGEST)
        answers = np.where(beyond, np.int8(UNUSABLE), answers).astype(np.int8)
    return answers.view(np.uint8)
