"""Record numbers as they are compared: one number has one normal form, however it was typed or exported. Pure."""

import re
from dataclasses import dataclass

from pro_tracker.domain.folding import visible

_DECIMAL = re.compile(r"([0-9]+)\.0+")  # what spreadsheets make of a number: 0012345.0
_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_SEPARATORS = re.compile(r"[ -]+")


@dataclass(frozen=True, slots=True)
class NumberRules:
    """A clinic's rules. `pattern`: regular expression of the normal form, `example`: a number that fits it.

    `width`: numbers of digits only are filled up with leading zeros to this length; 0: they are not.
    """

    pattern: str = ""
    example: str = ""
    width: int = 0

    def accept(self, normal: str) -> bool:
        """Returns whether a normal form fits the pattern; any does without one."""
        return not self.pattern or re.fullmatch(self.pattern, normal) is not None


NO_RULES = NumberRules()


def written(text: str, rules: NumberRules = NO_RULES) -> str:
    """Returns the number as it is stored and shown: nothing invisible, as many zeros as the clinic writes."""
    number = _without_decimals(visible(text), rules)
    if number.isascii() and number.isdigit():
        return number.zfill(rules.width)
    return number


def normal_form(text: str, rules: NumberRules = NO_RULES) -> str:
    """Returns the form in which numbers are compared and looked up: as `written`, without case.

    A run of spaces and dashes counts as one dash: "MRN 7" is "mrn-7".
    """
    return _folded(written(text, rules))


def without_zeros(normal: str) -> str:
    """Returns what is left of a normal form in a spreadsheet that takes it for a number: no leading zeros, no ".0"."""
    decimal = _DECIMAL.fullmatch(normal)
    return _LEADING_ZEROS.sub("", decimal[1] if decimal else normal)


def _folded(number: str) -> str:
    # Folding case may bring back what NFKC removed: once more (Unicode Standard, 3.13, toNFKC_Casefold).
    return _SEPARATORS.sub("-", visible(number.casefold()))


def _without_decimals(number: str, rules: NumberRules) -> str:
    """Removes a trailing ".0" where the clinic's rules say that its numbers have none."""
    decimal = _DECIMAL.fullmatch(number)
    if decimal is None:
        return number
    fits_without = bool(rules.pattern) and rules.accept(_folded(decimal[1].zfill(rules.width)))
    fits_as_it_is = bool(rules.pattern) and rules.accept(_folded(number))
    only_digits = rules.width > 0 and not rules.pattern
    return decimal[1] if only_digits or (fits_without and not fits_as_it_is) else number
