"""Segments of a text message, counted as gateways count and bill them (3GPP TS 23.038)."""

import pytest

from pro_tracker.domain.sms_segments import segments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("é" * 160, 1),  # é, ñ and ¿ are in the GSM alphabet ...
        ("¿" + "ñ" * 160, 2),
        ("í" * 70, 1),  # ... á, í, ó and ú are not
        ("í" * 71, 2),
        ("í" + "a" * 133, 2),
        ("í" + "a" * 134, 3),
        ("€" * 80, 1),  # two septets each
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 10, 2),
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the € does not fit into the last septet, which stays empty
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("a" * 66 + "😀" + "a" * 65, 2),
        ("a" * 66 + "😀" + "a" * 66, 3),  # an emoji has two UTF-16 units, which are not split
    ],
)
def test_texts_are_counted_in_segments(text: str, expected: int) -> None:
    assert segments(text) == expected


def test_one_letter_outside_the_gsm_alphabet_makes_the_whole_message_ucs_2() -> None:
    assert segments("a" * 160) == 1
    assert segments("a" * 159 + "á") == 3
