"""Scores many responses of one instrument at once with numpy, by the rules of domain/scoring.py.

The score of a scale depends on two numbers only: the sum and the count of its answered items. domain/scoring.py scores
each such pair once, and the result is looked up afterwards: so bulk scores equal single scores by construction.
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
UNUSABLE = -2  # not an answer code; neither a zero nor missing
CHUNK = 1 << 15  # responses per step, so that its arrays fit into the processor's cache
LARGEST = 127  # the largest int8; the file format allows answer codes from 0 to 100
BYTES = 256  # entries of a look-up table by an answer's byte; the byte of MISSING is 255

Answers = NDArray[np.integer[Any]]
Column = NDArray[np.float64]


@dataclass(frozen=True)
class BulkScores:
    """The scores of one scale of n responses, as an index into the distinct outcomes."""

    scale: Scale
    numbers: NDArray[np.int32]  # shape (n,): the index of each response's outcome
    outcomes: tuple[ScaleScore, ...]

    def __getitem__(self, response: int) -> ScaleScore:
        return self.outcomes[int(self.numbers[response])]

    @cached_property
    def raw_score(self) -> Column:
        """Points, NaN where there is no score."""
        return self._column("raw_score")

    @cached_property
    def t_score(self) -> Column:
        """T points with one decimal, NaN where there is none."""
        return self._column("t_score")

    @cached_property
    def standard_error(self) -> Column:
        """T points with one decimal, NaN where there is none."""
        return self._column("standard_error")

    @cached_property
    def n_answered(self) -> NDArray[np.int16]:
        counts = [each.n_answered for each in self.outcomes]
        return np.array(counts, np.int16)[self.numbers]

    @cached_property
    def scored(self) -> NDArray[np.bool_]:
        """Whether the status is "scored"."""
        scored = [each.status == ScoreStatus.SCORED for each in self.outcomes]
        return np.array(scored, np.bool_)[self.numbers]

    def _column(self, field: str) -> Column:
        """A field of each response's outcome, shape (n,), NaN for None."""
        values = [getattr(each, field) for each in self.outcomes]
        with_nan = [np.nan if value is None else value for value in values]
        return np.array(with_nan, np.float64)[self.numbers]


class BulkScorer:
    """Scores responses of one instrument, all with or all without the publisher's pro-rating."""

    def __init__(self, instrument: Instrument, *, prorate: bool = False) -> None:
        self.instrument = instrument
        self._known = [_known(item) for item in instrument.items]
        self._tables = [_Table(instrument, scale, prorate) for scale in instrument.scales]

    def score(self, answers: Answers) -> tuple[BulkScores, ...]:
        """Score every scale, in the instrument's order.

        `answers` has shape (responses, items), items in the instrument's order; option codes or MISSING; int8 is
        fastest. Raises AnswerOutOfRange for the first answer that is not an option code of its item, and InvalidInput
        for an adaptive test, whose score depends on more than a sum.
        """
        if self.instrument.bank is not None:
            raise InvalidInput("The responses to an adaptive test are scored one by one.")
        usable = self.usable(answers)
        if not usable.all():
            raise scoring.out_of_range(self._first_unusable_item(answers, usable))
        numbers = [np.empty(len(answers), np.int32) for _ in self._tables]
        for part, columns in _chunks(answers):
            for table, found in zip(self._tables, numbers, strict=True):
                found[part] = table.numbers(columns)
        scored = zip(self._tables, numbers, strict=True)
        return tuple(BulkScores(table.scale, found, tuple(table.outcomes)) for table, found in scored)

    def _first_unusable_item(self, answers: Answers, usable: NDArray[np.bool_]) -> Item:
        """The first item with an unusable answer in the first unusable row."""
        row = _as_bytes(answers[np.argmin(usable)][np.newaxis])[0]
        columns = zip(self.instrument.items, self._known, row, strict=True)
        return next(item for item, known, code in columns if not known[code])

    def usable(self, answers: Answers) -> NDArray[np.bool_]:
        """Whether each row holds only option codes and MISSING, shape (responses,).

        Raises InvalidInput for another shape or type than `score` takes.
        """
        has_shape = answers.ndim == 2 and answers.shape[1] == len(self._known)
        if not has_shape or answers.dtype.kind not in "iu":
            raise InvalidInput(f"Answers must be whole numbers in {len(self._known)} columns, one an item.")
        usable = np.ones(len(answers), np.bool_)
        for part, columns in _chunks(answers):
            for known, column in zip(self._known, columns, strict=True):
                usable[part] &= known[column]
        return usable


def as_array(instrument: Instrument, answers: Sequence[Mapping[str, object]]) -> NDArray[np.int8]:
    """Stored answers (link_id -> code, None: skipped) as an array of shape (responses, items) for the scorer.

    A value that is not an answer code becomes UNUSABLE; so does a whole row with an item that the instrument has not.
    """
    link_ids = [item.link_id for item in instrument.items]
    known = frozenset(link_ids)
    unusable = [UNUSABLE] * len(link_ids)
    rows: list[list[int]] = []
    for given in answers:
        if given.keys() <= known:
            rows.append([_code(given.get(link_id)) for link_id in link_ids])
        else:
            rows.append(unusable)
    return np.array(rows, np.int8).reshape(len(rows), len(link_ids))


def score_stored(
    instrument: Instrument, answers: Sequence[Mapping[str, Any]], *, prorate: bool = False
) -> tuple[NDArray[np.bool_], tuple[BulkScores, ...]]:
    """Whether each of the stored answers can be scored, shape (n,), and the scores of those that can, by scale.

    An adaptive test has no look-up table: its responses are scored one by one.
    """
    array = as_array(instrument, answers)
    scorer = BulkScorer(instrument, prorate=prorate)
    usable = scorer.usable(array)
    if instrument.bank is None:
        return usable, scorer.score(array[usable])
    to_score = [given for given, is_usable in zip(answers, usable, strict=True) if is_usable]
    outcomes = tuple(scoring.score(instrument, _given(each), prorate=prorate)[0] for each in to_score)
    numbers = np.arange(len(to_score), dtype=np.int32)
    return usable, (BulkScores(instrument.scales[0], numbers, outcomes),)


def _given(answers: Mapping[str, Any]) -> dict[str, int]:
    return {link_id: answer for link_id, answer in answers.items() if answer is not None}


def _code(answer: object) -> int:
    if answer is None:
        return MISSING
    if type(answer) is int and 0 <= answer <= LARGEST:
        return answer
    return UNUSABLE


class _Table:
    """The scores that one scale can have, each computed when it first occurs.

    A response's key into the table holds the sum and the count of its answers in one number: each answer adds `_one` to
    it for the count, and its scored value above the lowest possible one for the sum. `_one` exceeds every such sum.
    """

    def __init__(self, instrument: Instrument, scale: Scale, prorate: bool) -> None:
        self.scale = scale
        self.outcomes: list[ScaleScore] = []
        self._prorate = prorate
        items = [(column, item) for column, item in enumerate(instrument.items) if item.link_id in scale.items]
        ranges = [item.scored_range for _column, item in items]
        self._lowest = min(lowest for lowest, _highest in ranges)
        self._one = sum(highest - self._lowest for _lowest, highest in ranges) + 1
        self._keys = [(column, self._item_keys(item)) for column, item in items]
        self._number = np.full(self._one * (len(items) + 1), -1, np.int32)  # key -> index into `outcomes`; -1: new

    def _item_keys(self, item: Item) -> NDArray[np.int32]:
        """What each answer to the item adds to the key, by the byte of its code."""
        keys = np.zeros(BYTES, np.int32)  # MISSING adds nothing
        for value in item.response_set.values:
            keys[value] = self._one + item.scored_value(value) - self._lowest
        return keys

    def numbers(self, columns: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The index of each response's outcome, shape (responses,); `columns` has shape (items, responses)."""
        keys = np.zeros(columns.shape[1], np.int32)
        for column, item_keys in self._keys:
            keys += item_keys[columns[column]]
        numbers = self._number[keys]
        new = keys[numbers < 0]
        if new.size:
            self._compute(np.unique(new).tolist())
            numbers = self._number[keys]
        return numbers

    def _compute(self, keys: list[int]) -> None:
        """Add the outcomes of these keys."""
        for key in keys:
            n_answered, above_lowest = divmod(key, self._one)
            total = above_lowest + n_answered * self._lowest
            self._number[key] = len(self.outcomes)
            self.outcomes.append(scoring.score_sum(self.scale, total, n_answered, prorate=self._prorate))


def _known(item: Item) -> NDArray[np.bool_]:
    """Whether a byte is an option code of the item or MISSING, by byte."""
    known = np.zeros(BYTES, np.bool_)
    known[[*item.response_set.values, MISSING]] = True
    return known


def _chunks(answers: Answers) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Slices of the rows, each with its answers as bytes, transposed to shape (items, responses)."""
    for start in range(0, len(answers), CHUNK):
        part = slice(start, start + CHUNK)
        yield part, np.ascontiguousarray(_as_bytes(answers[part]).T)


def _as_bytes(answers: Answers) -> NDArray[np.uint8]:
    if answers.dtype != np.int8:  # a code outside int8 must not wrap around to a valid one
        beyond = (answers < MISSING) | (answers > LARGEST)
        answers = np.where(beyond, np.int8(UNUSABLE), answers).astype(np.int8)
    return answers.view(np.uint8)
