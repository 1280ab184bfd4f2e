"""Small-cell suppression: hides counts so low that a person could be recognised, and counts that would reveal them.

The minimum is that of the CMS cell size suppression policy: no count of 1 to 10 may be shown, nor a figure from which
one follows. Here 0 is suppressed too, because "none of them" says something about every person counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

MINIMUM_SHOWN = 11
# A total must leave each hidden part at least this many possible values above the least and below the greatest one:
# two sites that show "fewer than 11" have 10 each if their sum is 20. Three, so that knowing this rule tells no value.
LEEWAY = 3

Name = TypeVar("Name", bound=str)


class Suppressed(StrEnum):
    """The reasons not to show a figure: it is of few people, or a hidden one would follow from it (held back)."""

    FEW = "few"
    HELD_BACK = "held-back"


@dataclass(frozen=True, slots=True)
class Count:
    """A number of people: `n`, and where it is a share also `of`, the denominator."""

    n: int
    of: int | None = None

    @property
    def is_small(self) -> bool:
        """Returns whether it must be suppressed: numerator, denominator or their difference is below the minimum."""
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


def why_hidden(count: Count, parts: Sequence[Count] = ()) -> Suppressed | None:
    """Returns why a count must not be shown, None where it may be. `parts` are those of the single sites of a total.

    FEW is always true: fewer than the minimum were counted. A share of more people is held back in any case: of 11, it
    would be 11 unless it is few.
    """
    if count.n < MINIMUM_SHOWN and not _is_share_of_many(count):
        return Suppressed.FEW
    if count.is_small or total_reveals_small(parts):
        return Suppressed.HELD_BACK
    return None


def total_reveals_small(parts: Iterable[Count]) -> bool:
    """Returns whether subtracting the shown parts from their total would reveal a small count (residual disclosure)."""
    hidden = [part for part in parts if part.is_small]
    if not hidden:
        return False
    if any(_is_share_of_many(part) for part in hidden):
        return True  # few or nearly all of a known number: a sum leaves too little choice
    rest = hidden[0]
    for part in hidden[1:]:
        rest += part
    return rest.is_small or _determines(rest.n, len(hidden))


def why_people_hidden(people: int, sites: Sequence[tuple[int, int]]) -> Suppressed | None:
    """Returns why the number of people behind some courses must not be shown next to the number of courses.

    `sites` has people and courses of each single site, `people` the people of all, each counted once. What courses have
    more than people are few people with several courses, or with courses at several sites.
    """
    if people < MINIMUM_SHOWN:
        return Suppressed.FEW
    with_several = [courses - each for each, courses in sites]
    at_several_sites = sum(each for each, _courses in sites) - people
    if any(map(_is_small, [*with_several, at_several_sites])) or any(each < MINIMUM_SHOWN for each, _courses in sites):
        return Suppressed.HELD_BACK
    return None


def _is_share_of_many(count: Count) -> bool:
    return count.of is not None and count.of >= MINIMUM_SHOWN


def _determines(total: int, n_parts: int) -> bool:
    """Returns whether this total tells the hidden parts, or nearly: it is close to the least or greatest possible.

    The least is 1 for each part: a site where no person was asked has no figures.
    """
    greatest = n_parts * (MINIMUM_SHOWN - 1)
    return not n_parts + LEEWAY <= total <= greatest - LEEWAY


def suppress_small(
    sites: Sequence[Mapping[Name, int]], *, asked: Sequence[int | None] = ()
) -> tuple[dict[Name, int], int | Suppressed]:
    """Adds up the counts of people without answers of several sites and suppresses small ones.

    Takes name -> number of people, one mapping a site. `asked` has for each site whose number of answers is hidden how
    many were asked, None for the others: what was asked and not left unanswered was answered. Returns the names that
    may be shown with their totals, the greatest first, and the total of all other names, or why that is not shown.

    A person who sees the total may see the single sites too, so a name is shown only where it is shown at each site.
    """
    limits = asked or [None] * len(sites)
    suppressed = [_suppress_at_site(counts, limit) for counts, limit in zip(sites, limits, strict=True)]
    totals = _totals_of_common_names(suppressed)
    rest = sum(site.total for site in suppressed) - sum(totals.values())
    greatest_first = dict(sorted(totals.items(), key=_greatest_then_name))
    if any(limit is not None for limit in limits):
        return greatest_first, Suppressed.HELD_BACK
    return greatest_first, _shown_rest(rest, suppressed)


def _shown_rest(rest: int, sites: Sequence[_SiteCounts[Name]]) -> int | Suppressed:
    """The total of the names that are not shown, or why it is not shown either."""
    if _is_small(rest):
        return Suppressed.FEW
    # The people at sites that show no rest: they must not follow from the difference of the totals either.
    silent = [site.total for site in sites if site.rest is None]
    if silent and total_reveals_small(map(Count, silent)):
        return Suppressed.HELD_BACK
    return rest


def _totals_of_common_names(sites: Sequence[_SiteCounts[Name]]) -> dict[Name, int]:
    """Name -> total over all sites, for the names that every site shows."""
    if not sites:
        return {}
    names = set.intersection(*(set(site.shown) for site in sites))
    return {name: sum(site.shown[name] for site in sites) for name in names}


def _suppress_at_site(counts: Mapping[Name, int], asked: int | None) -> _SiteCounts[Name]:
    """Suppresses small counts, then the next greater ones until the rest is large enough (secondary suppression).

    Where the number of answers is hidden (`asked` is known), so many people are left over that it may be any small
    number, and the rest is not shown.
    """
    total = sum(counts.values())
    shown = {name: n for name, n in counts.items() if n >= MINIMUM_SHOWN}
    rest = total - sum(shown.values())
    for name in sorted(shown, key=lambda name: (shown[name], name)):  # the smallest first, so that most stay shown
        left = None if asked is None else asked - sum(shown.values())
        if not _is_small(rest) and (left is None or left >= MINIMUM_SHOWN):
            break
        rest += shown.pop(name)
    return _SiteCounts(total, shown, None if asked is not None or _is_small(rest) else rest)


def _is_small(rest: int) -> bool:
    """Returns whether a rest is too small to show; an empty one reveals no person."""
    return 0 < rest < MINIMUM_SHOWN


def _greatest_then_name(item: tuple[str, int]) -> tuple[int, str]:
    name, n = item
    return -n, name
