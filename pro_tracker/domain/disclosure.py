"""Small cells: counts so low that a person could be recognised are not shown, nor what would give them away.

Eleven is the limit of the CMS cell size suppression policy: neither 1 to 10 may be shown nor a figure from which they
follow. Here 0 is kept back too, since "none of them" says something about every one of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LEAST_SHOWN = 11


@dataclass(frozen=True, slots=True)
class Count:
    """How many people: those in the numerator and, where it is a share, those of whom it is one."""

    n: int
    of: int | None = None

    @property
    def is_small(self) -> bool:
        """Too few to show: the people, all of them, or (where it is a share) the ones left over."""
        counted = (self.n,) if self.of is None else (self.n, self.of, self.of - self.n)
        return min(counted) < LEAST_SHOWN

    def __add__(self, other: "Count") -> "Count":
        of = None if self.of is None or other.of is None else self.of + other.of
        return Count(self.n + other.n, of)


def total_gives_away(parts: Iterable[Count]) -> bool:
    """Whether the total less the parts that are shown would leave something too small to show."""
    hidden = [part for part in parts if part.is_small]
    if not hidden:
        return False
    rest = hidden[0]
    for part in hidden[1:]:
        rest += part
    return rest.is_small


def shown_and_rest(counts: Mapping[str, Sequence[int]]) -> tuple[dict[str, int], int | None]:
    """Name -> total of those that may be shown, the greatest first, and the sum of all others; None: too few to tell.

    `counts` has for each name the numbers of people at the sites that the total is over. What would leave too few for
    the others is counted among them.
    """
    shown = {name: sum(parts) for name, parts in counts.items() if _may_show(parts)}
    names = sorted(shown, key=lambda name: (shown[name], name), reverse=True)
    rest = sum(sum(parts) for name, parts in counts.items() if name not in shown)
    while names and 0 < rest < LEAST_SHOWN:
        rest += shown[names.pop()]
    return {name: shown[name] for name in names}, rest if rest >= LEAST_SHOWN or rest == 0 else None


def _may_show(parts: Sequence[int]) -> bool:
    gives_away = len(parts) > 1 and total_gives_away(map(Count, parts))
    return not Count(sum(parts)).is_small and not gives_away
