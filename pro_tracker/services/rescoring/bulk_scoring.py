"""Scores many responses of one instrument at once with numpy, by the rules of domain/scoring.py.

The score of a scale depends on two numbers only: the sum and the count of its answered items. domain/scoring.py scores
each such pair once, and the result is looked up afterwards: so bulk scores equal single scores by construction.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
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
        counts = np.array([each.n_answered for each in self.outcomes], np.int16)
        return counts[self.numbers]

    @cached_property
    def scored(self) -> NDArray[np.bool_]:
        """Returns whether the status is "scored"."""
        is_scored = [each.status == ScoreStatus.SCORED for each in self.outcomes]
        column = np.array(is_scored, np.bool_)
        return column[self.numbers]

    def _column(self, field: str) -> Column:
        """A field of each response's outcome, shape (n,), NaN for None."""
        values = [getattr(each, field) for each in self.outcomes]
        with_nan = [np.nan if value is None else value for value in values]
        column = np.array(with_nan, np.float64)
        return column[self.numbers]


class BulkScorer:
    """Scores responses of one instrument, all with or all without the publisher's pro-rating."""

    def __init__(self, instrument: Instrument, *, prorate: bool = False) -> None:
        self.instrument = instrument
        self._known = [_known(item) for item in instrument.items]
        self._tables = [_Table(instrument, scale, prorate) for scale in instrument.scales]

    def score(self, answers: Answers) -> tuple[BulkScores, ...]:
        """Scores every scale, in the instrument's order.

        `answers` has shape (responses, items), items in the instrument's order; option codes or MISSING; int8 is
        fastest. Raises AnswerOutOfRange for the first answer that is not an option code of its item, and InvalidInput
        for an adaptive test, whose score depends on more than a sum.
        """
        if self.instrument.bank is not None:
            raise InvalidInput("The responses to an adaptive test are scored one by one.")
        usable = self.usable(answers)
        if not usable.all():
            item = self._first_unusable_item(answers, usable)
            raise scoring.out_of_range(item)
        numbers = [np.empty(len(answers), np.int32) for _ in self._tables]
        for part, columns in _chunks(answers):
            for table, found in zip(self._tables, numbers, strict=True):
                found[part] = table.numbers(columns)
        scored = zip(self._tables, numbers, strict=True)
        return tuple(table.scores(found) for table, found in scored)

    def _first_unusable_item(self, answers: Answers, usable: NDArray[np.bool_]) -> Item:
        """The first item with an unusable answer in the first unusable row."""
        first = np.argmin(usable)
        first_row = answers[first : first + 1]
        codes = _as_bytes(first_row)[0]
        columns = zip(self.instrument.items, self._known, codes, strict=True)
        return next(item for item, known, code in columns if not known[code])

    def usable(self, answers: Answers) -> NDArray[np.bool_]:
        """Returns whether each row holds only option codes and MISSING, shape (responses,).

        Raises InvalidInput for another shape or type than `score` takes.
        """
        n_items = len(self._known)
        has_shape = answers.ndim == 2 and answers.shape[1] == n_items
        is_whole = answers.dtype.kind in "iu"
        if not (has_shape and is_whole):
            raise InvalidInput(f"Answers must be whole numbers in {n_items} columns, one an item.")
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
    array = np.array(rows, np.int8)
    return array.reshape(len(rows), len(link_ids))  # also the right shape without rows


def score_stored(
    instrument: Instrument, answers: Sequence[Mapping[str, Any]], *, prorate: bool = False
) -> tuple[NDArray[np.bool_], tuple[BulkScores, ...]]:
    """Returns whether each stored answer can be scored, shape (n,), and the scores of those that can, by scale.

    An adaptive test has no look-up table: its responses are scored one by one.
    """
    array = as_array(instrument, answers)
    scorer = BulkScorer(instrument, prorate=prorate)
    usable = scorer.usable(array)
    if instrument.bank is None:
        return usable, scorer.score(array[usable])
    to_score = compress(answers, usable)
    return usable, (_score_adaptive(instrument, to_score, prorate),)


def _score_adaptive(instrument: Instrument, answers: Iterable[Mapping[str, Any]], prorate: bool) -> BulkScores:
    """The scores of the only scale of an adaptive test, each response with an outcome of its own."""
    outcomes: list[ScaleScore] = []
    for given in answers:
        answered = {link_id: code for link_id, code in given.items() if code is not None}
        scores = scoring.score(instrument, answered, prorate=prorate)
        outcomes.append(scores[0])
    numbers = np.arange(len(outcomes), dtype=np.int32)
    return BulkScores(instrument.scales[0], numbers, tuple(outcomes))


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
        columns = [column for column, item in enumerate(instrument.items) if item.link_id in scale.items]
        items = [instrument.items[column] for column in columns]
        ranges = [item.scored_range for item in items]
        self._lowest = min(lowest for lowest, _highest in ranges)
        largest_sum = sum(highest - self._lowest for _lowest, highest in ranges)
        self._one = largest_sum + 1
        item_keys = [self._item_keys(item) for item in items]
        self._keys = list(zip(columns, item_keys, strict=True))
        n_keys = self._one * (len(items) + 1)
        self._number = np.full(n_keys, -1, np.int32)  # key -> index into `outcomes`; -1: new

    def _item_keys(self, item: Item) -> NDArray[np.int32]:
        """Returns what each answer to the item adds to the key, by the byte of its code."""
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
        """Adds the outcomes of these keys."""
        for key in keys:
            n_answered, above_lowest = divmod(key, self._one)
            total = above_lowest + n_answered * self._lowest
            score = scoring.score_sum(self.scale, total, n_answered, prorate=self._prorate)
            self._number[key] = len(self.outcomes)
            self.outcomes.append(score)

    def scores(self, numbers: NDArray[np.int32]) -> BulkScores:
        """The scores of the responses with these outcomes."""
        return BulkScores(self.scale, numbers, tuple(self.outcomes))


def _known(item: Item) -> NDArray[np.bool_]:
    """Returns whether a byte is an option code of the item or MISSING, by byte."""
    known = np.zeros(BYTES, np.bool_)
    known[[*item.response_set.values, MISSING]] = True
    return known


def _chunks(answers: Answers) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Slices of the rows, each with its answers as bytes, transposed to shape (items, responses)."""
    for start in range(0, len(answers), CHUNK):
        part = slice(start, start + CHUNK)
        columns = _as_bytes(answers[part]).T
        yield part, np.ascontiguousarray(columns)


def _as_bytes(answers: Answers) -> NDArray[np.uint8]:
    if answers.dtype == np.int8:
        return answers.view(np.uint8)
    # A code outside int8 must not wrap around to a valid one.
    beyond = (answers < MISSING) | (answers > LARGEST)
    in_range = np.where(beyond, np.int8(UNUSABLE), answers)
    return in_range.astype(np.int8).view(np.uint8)
