"""How many segments a text message takes, which is what gateways count and bill. 3GPP TS 23.038 and 23.040."""

# The GSM 7-bit default alphabet (23.038, 6.2.1), and its extension, each letter of which takes two places (6.2.1.1).
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
# Places in a message of one segment, and in each of several, whose header takes six bytes.
GSM_PLACES = 160, 153
UCS2_PLACES = 70, 67


def segments(text: str) -> int:
    """How many segments `text` is sent in: 7-bit where every letter is in the GSM alphabet, else all of it UCS-2.

    No letter is split over two segments, neither an extended one nor one of two UTF-16 units such as an emoji.
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
    """The places that a segment has, and those that each letter takes."""
    if GSM.union(GSM_EXTENSION).issuperset(text):
        return GSM_PLACES, [2 if letter in GSM_EXTENSION else 1 for letter in text]
    return UCS2_PLACES, [len(letter.encode("utf-16-be")) // 2 for letter in text]
