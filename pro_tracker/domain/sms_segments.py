"""Counts the segments of a text message, the unit that gateways charge by (3GPP TS 23.038 and 23.040)."""

# The GSM 7-bit default alphabet (23.038, 6.2.1), and its extension table, whose characters take two places (6.2.1.1).
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
# Places in a single segment, and in each of several segments, whose user data header takes six bytes.
GSM_PLACES = 160, 153
UCS2_PLACES = 70, 67


def segments(text: str) -> int:
    """Returns the number of segments of `text`: in GSM 7-bit if it has every character, else in UCS-2.

    No character is split over two segments, neither an extended one nor one of two UTF-16 units, such as an emoji.
    """
    (alone, joined), places = _places(text)
    if sum(places) <= alone:
        return 1
    count, left = 1, joined
    for place in places:
        if place > left:
            count, left = count + 1, joined
        left -= place
    return count


def _places(text: str) -> tuple[tuple[int, int], list[int]]:
    """Returns the places of a single and of a joined segment, and the places that each character takes."""
    if GSM.union(GSM_EXTENSION).issuperset(text):
        return GSM_PLACES, [2 if letter in GSM_EXTENSION else 1 for letter in text]
    return UCS2_PLACES, [len(letter.encode("utf-16-be")) // 2 for letter in text]
