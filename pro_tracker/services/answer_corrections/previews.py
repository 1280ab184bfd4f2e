"""Previews a correction of answers: runs it in a savepoint, compares responses and plans, and may roll back."""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services.answer_corrections import visit_answers
from pro_tracker.services.answer_corrections.visit_answers import ReadItem, ReadResponse, ReadScore
from pro_tracker.services.planning import plan_preview
from pro_tracker.services.planning.plan_preview import PlanDifference

ResponsePair = tuple[QuestionnaireResponse | None, QuestionnaireResponse | None]  # before and after the correction


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One item whose answer differs."""

    before: ReadItem
    after: ReadItem


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """One scale before and after; None where there is no response in effect."""

    title: str
    before: ReadScore | None
    after: ReadScore | None


@dataclass(frozen=True, slots=True)
class ResponseChange:
    """The effect of a correction on one response."""

    title: str
    items: tuple[ItemChange, ...]
    scores: tuple[ScoreChange, ...]

    @classmethod
    def between(cls, before: ReadResponse | None, after: ReadResponse | None) -> "ResponseChange":
        shown = after or before
        return cls(
            title=shown.title if shown else "",
            items=tuple(_item_changes(before, after)),
            scores=tuple(_score_changes(_by_scale(before), _by_scale(after))),
        )


@dataclass(frozen=True, slots=True)
class CorrectionPreview:
    """The effects of a correction: on responses, and on the plan of each subject in the order given."""

    responses: tuple[ResponseChange, ...]
    plans: tuple[PlanDifference, ...]

    @property
    def fingerprint(self) -> str:
        """A SHA-256 hash in hex: staff confirm exactly the change that the page showed."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def preview(
    session: Session,
    subject_ids: Sequence[uuid.UUID],
    change: Callable[[], Sequence[ResponsePair]],
    *,
    now: datetime,
    keep: Callable[[CorrectionPreview], bool],
) -> CorrectionPreview:
    """Runs `change`, which returns the responses before and after, and rolls back unless `keep` of the preview is true.

    An error that `change` raises passes through, and nothing is changed. The caller commits.
    """
    before = [plan_preview.current_plan(session, subject_id, now=now) for subject_id in subject_ids]
    with session.begin_nested() as trial:
        pairs = change()
        after = [plan_preview.current_plan(session, subject_id, now=now) for subject_id in subject_ids]
        plans = tuple(map(PlanDifference.between, before, after))
        found = CorrectionPreview(tuple(response_change(session, *pair) for pair in pairs), plans)
        if not keep(found):
            trial.rollback()
    session.expire_all()  # rows that were read inside the trial are not what is stored now
    return found


def response_change(
    session: Session, before: QuestionnaireResponse | None, after: QuestionnaireResponse | None
) -> ResponseChange:
    """The difference between two responses; None: no response in effect."""
    old = visit_answers.read(session, before) if before is not None else None
    new = visit_answers.read(session, after) if after is not None else None
    return ResponseChange.between(old, new)


def _by_scale(response: ReadResponse | None) -> Mapping[str, ReadScore]:
    return {score.scale_code: score for score in response.scores} if response else {}


def _score_changes(before: Mapping[str, ReadScore], after: Mapping[str, ReadScore]) -> Iterator[ScoreChange]:
    either = {**before, **after}
    for code, shown in either.items():
        old, new = before.get(code), after.get(code)
        yield ScoreChange(shown.title, old, new)


def _item_changes(before: ReadResponse | None, after: ReadResponse | None) -> Iterator[ItemChange]:
    if before is None or after is None:
        return
    for old, new in zip(before.items, after.items, strict=True):
        if (old.value, old.missing) != (new.value, new.missing):
            yield ItemChange(old, new)
