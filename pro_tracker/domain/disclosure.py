"""Small-cell suppression: hides counts so low that a person could be recognised, and counts that would reveal them.

The minimum is that of the CMS cell size suppression policy: no count of 1 to 10 may be shown, nor a figure from which
one follows. Here 0 is suppressed too, because "none of them" says something about every person counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

MINIMUM_SHOWN = 11

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class Count:
    """A number of people: `n`, and where it is a share also `of`, the denominator."""

    n: int
    of: int | None = None

    @property
    def is_small(self) -> bool:
        """Whether it must be suppressed: numerator, denominator or their difference is below the minimum."""
        if self.of is None:
            return self.n < MINIMUM_SHOWN
        return min(self.n, self.of, self.of - self.n) < MINIMUM_SHOWN

    def __add__(self, other: "Count") -> "Count":
        n = self.n + other.n
        if self.of is None or other.of is None:
            return Count(n)
        return Count(n, self.of + other.of)


@dataclass(frozen=True, slots=True)
class _SiteCounts(Generic[Name]):
    """The counts of one site after suppression; `rest` is None where it must be suppressed itself."""

    total: int
    shown: Mapping[Name, int]
    rest: int | None


def total_reveals_small(parts: Iterable[Count]) -> bool:
    """Whether subtracting the shown parts from their total would reveal a small count (residual disclosure)."""
    hidden = [part for part in parts if part.is_small]
    if not hidden:
        return False
    rest = hidden[0]
    for part in hidden[1:]:
        rest += part
    return rest.is_small


def suppress_small(sites: Sequence[Mapping[Name, int]]) -> tuple[dict[Name, int], int | None]:
    """Add up the counts of several sites and suppress small ones.

    Takes name -> number of people, one mapping a site. Returns the names that may be shown with their totals, the
    greatest first, and the total of all other names; None where that is too small to show.

    A person who sees the total may see the single sites too, so a name is shown only where it is shown at each site.
    """
    suppressed = [_suppress_at_site(counts) for counts in sites]
    totals = _totals_of_common_names(suppressed)
    rest = sum(site.total for site in suppressed) - sum(totals.values())
    # The people at sites that show no rest: they must not follow from the difference of the totals either.
    at_silent_sites = sum(site.total for site in suppressed if site.rest is None)
    smallest = min(rest, at_silent_sites) if at_silent_sites else rest
    greatest_first = dict(sorted(totals.items(), key=_greatest_then_name))
    return greatest_first, None if _is_small(smallest) else rest


def _totals_of_common_names(sites: Sequence[_SiteCounts[Name]]) -> dict[Name, int]:
    """Name -> total over all sites, for the names that every site shows."""
    if not sites:
        return {}
    names = set.intersection(*(set(site.shown) for site in sites))
    return {name: sum(site.shown[name] for site in sites) for name in names}


def _suppress_at_site(counts: Mapping[Name, int]) -> _SiteCounts[Name]:
    """Suppress small counts, then the next greater ones until the rest is large enough (secondary suppression)."""
    total = sum(counts.values())
    shown = {name: n for name, n in counts.items() if n >= MINIMUM_SHOWN}
    rest = total - sum(shown.values())
    for name in sorted(shown, key=lambda name: (shown[name], name)):  # the smallest first, so that most stay shown
        if not _is_small(rest):
            break
        rest += shown.pop(name)
    return _SiteCounts(total, shown, None if _is_small(rest) else rest)


def _is_small(rest: int) -> bool:
    """Whether a rest is too small to show; an empty one reveals no person."""
    return 0 < rest < MINIMUM_SHOWN


def _greatest_then_name(item: tuple[str, int]) -> tuple[int, str]:
    name, n = item
    return -n, name
