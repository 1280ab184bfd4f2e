"""Values of a YAML file as they are written: their places, and the numbers that do not mean what they say.

YAML 1.1 reads 012 as the octal 10, 1:30 as 90 (in base 60), 0x1f as 31, 1_000 as 1000, and no and on as booleans.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)", re.IGNORECASE)
_TRUE = ("yes", "true", "on")


class WrittenValue(NamedTuple):
    """One value: its place in the file ("events.0.code"), its line from 1, its type in YAML, its text as written."""

    key: str
    line: int
    kind: str
    text: str

    @property
    def is_odd_number(self) -> bool:
        """The value is read as another number than its digits say."""
        if self.kind not in ("int", "float"):
            return False
        return _PLAIN_NUMBER.fullmatch(self.text) is None

    @property
    def advice(self) -> str:
        """Advice about a word or date without quotes that YAML reads as something else; "" for other values."""
        if self.kind == "bool":
            read = "true" if self.text.lower() in _TRUE else "false"
            return f"; YAML reads {self.text} as {read}, so put it in quotes"
        if self.kind == "timestamp":
            return f"; YAML reads {self.text} as a date, so put it in quotes"
        return ""


def written_values(node: yaml.Node | None, key: str = "") -> Iterator[WrittenValue]:
    """Yields every value below the node, of the keys those that are numbers as well. `key`: the place of the node."""
    match node:
        case yaml.MappingNode():
            for key_node, value_node in node.value:
                name = str(key_node.value)
                yield from (each for each in written_values(key_node, _below(key, name)) if each.is_odd_number)
                yield from written_values(value_node, _below(key, name))
        case yaml.SequenceNode():
            for number, each in enumerate(node.value):
                yield from written_values(each, _below(key, str(number)))
        case yaml.ScalarNode():
            kind = node.tag.rpartition(":")[2]
            yield WrittenValue(key, node.start_mark.line + 1, kind, node.value)


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def with_place(reason: str, written: WrittenValue | None) -> str:
    """Returns the reason of an error with the advice about the value, and its line."""
    if written is None:
        return reason
    return f"{reason}{written.advice} (line {written.line})"


def odd_number_reason(written: WrittenValue, read: Mapping[str, Any]) -> str:
    """Says what the number would be read as. `read`: kind -> function that reads such a number."""
    read_number = read[written.kind]
    node = yaml.ScalarNode(f"tag:yaml.org,2002:{written.kind}", written.text)
    number = read_number(node)
    return f"{written.text} would be read as {number}; put it in quotes, or write a plain number (line {written.line})"
