"""Small cells: counts so low that a person could be recognised are not shown, nor what would give them away.

Eleven is the limit of the CMS cell size suppression policy: neither 1 to 10 may be shown nor a figure from which they
follow. Here 0 is kept back too, since "none of them" says something about every one of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

LEAST_SHOWN = 11
Name = TypeVar("Name", bound=str)


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


def shown_and_rest(sites: Sequence[Mapping[Name, int]]) -> tuple[dict[Name, int], int | None]:
    """Name -> how many people at all these sites, of what may be shown, and how many all others are; None: too few.

    Who may see a total may see the sites, too, so over several sites a name is shown where it is shown at each.
    """
    each = [_at_one(counts) for counts in sites]
    names = set.intersection(*(set(shown) for shown, _rest in each)) if each else set()
    totals = {name: sum(shown[name] for shown, _rest in each) for name in names}
    rest = sum(sum(counts.values()) for counts in sites) - sum(totals.values())
    untold = sum(sum(counts.values()) for counts, (_shown, told) in zip(sites, each, strict=True) if told is None)
    greatest_first = dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))
    return greatest_first, None if 0 < min(rest, untold or rest) < LEAST_SHOWN else rest


def _at_one(counts: Mapping[Name, int]) -> tuple[dict[Name, int], int | None]:
    """What is shown of one site. What would leave too few for the others is counted among them."""
    shown = {name: n for name, n in counts.items() if n >= LEAST_SHOWN}
    rest = sum(counts.values()) - sum(shown.values())
    for name in sorted(shown, key=lambda name: (shown[name], name)):
        if not 0 < rest < LEAST_SHOWN:
            break
        rest += shown.pop(name)
    return shown, None if 0 < rest < LEAST_SHOWN else rest
