"""Texts as people compare them: without invisible characters, in one form of each letter, space and dash. Pure."""

import re
import unicodedata

# Characters that show nothing without being format characters (Cf): fillers, a joiner, variation selectors.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | frozenset(map(chr, range(0xFE00, 0xFE10)))
_MINUS_SIGNS = frozenset("\u2212\u2043\u02d7")  # dashes that Unicode does not list as such (Pd)
_MARKS = ("Mn", "Me")  # accents, once letters are decomposed
_SEPARATORS = re.compile(r"[\W_]+")


def visible(text: str) -> str:
    """Returns the text in NFKC without invisible characters, with one kind of space and of dash, and trimmed.

    NFKC makes full-width digits and no-break spaces ordinary. Format characters are zero-width and bidirectional ones
    (Unicode Standard, 4.5 and 23.2). Runs of spaces become one.
    """
    without = "".join(_plain(character) for character in text if not _is_invisible(character))
    composed = unicodedata.normalize("NFKC", without)
    plain = "".join(_plain(character) for character in composed if not _is_invisible(character))
    return " ".join(plain.split())


def name_key(*names: str) -> str:
    """Returns what equal names of one person have in common: the words in one order, without case, accents or signs."""
    folded = visible(" ".join(names)).casefold()
    decomposed = unicodedata.normalize("NFKD", folded)
    letters = "".join(character for character in decomposed if unicodedata.category(character) not in _MARKS)
    # An apostrophe is within a word, in any of its shapes; other signs divide words.
    words = _SEPARATORS.split(re.sub(r"['’‘ʼ`´]", "", letters))
    return " ".join(sorted(word for word in words if word))


def _is_invisible(character: str) -> bool:
    return character in _FILLERS or unicodedata.category(character) == "Cf"


def _plain(character: str) -> str:
    """Returns "-" for any dash, a space for any white space, else the character."""
    if character in _MINUS_SIGNS or unicodedata.category(character) == "Pd":
        return "-"
    return " " if character.isspace() else character
