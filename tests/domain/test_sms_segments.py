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
        ("€" * 80, 1),  # two places each
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 10, 2),
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the € does not fit into the one place left, which stays empty
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("a" * 66 + "😀" + "a" * 65, 2),
        ("a" * 66 + "😀" + "a" * 66, 3),  # nor does an emoji, which has two units of UTF-16
    ],
)
def test_a_text_takes_so_many_segments(text: str, expected: int) -> None:
    assert segments(text) == expected


def test_one_letter_outside_the_gsm_alphabet_costs_the_whole_message_its_seven_bits() -> None:
    assert segments("a" * 160) == 1
    assert segments("a" * 159 + "á") == 3
