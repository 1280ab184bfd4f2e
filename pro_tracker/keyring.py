"""Field encryption and keyed look-up hashes, on keys and bytes only; `db.Encrypted` binds them to columns.

AES-256-GCM (NIST SP 800-38D) with a 96-bit random nonce. A cell holds key id, nonce and ciphertext. The associated data
names table, column and row, so a value copied to another row or column does not decrypt.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pro_tracker.domain.errors import InvalidKeys

NONCE_BYTES = 12
ID_BYTES = 4


@dataclass(frozen=True)
class FieldKey:
    """One key of the ring: its 4-byte id and the two keys derived from it (HKDF), for encryption and for look-up."""

    id: bytes
    cipher: AESGCM
    lookup: bytes


@dataclass(frozen=True)
class KeyRing:
    """All field keys, newest first. The newest encrypts, each of them decrypts, so that keys can be rotated."""

    keys: tuple[FieldKey, ...]

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """Reads "key[,key...]", newest first, each 32 bytes in URL-safe base64 or "id:key". Raises InvalidKeys."""
        keys = tuple(_field_key(part.strip()) for part in text.split(",") if part.strip())
        if not keys:
            raise InvalidKeys(
                "PRO_TRACKER_FIELD_KEYS holds no key. Make one with: openssl rand -base64 32 | tr '+/' '-_'"
            )
        if len({key.id for key in keys}) != len(keys):
            raise InvalidKeys("PRO_TRACKER_FIELD_KEYS names one key twice.")
        return cls(keys)

    @property
    def _by_id(self) -> Mapping[bytes, FieldKey]:
        return {key.id: key for key in self.keys}

    def encrypt(self, value: str, place: str) -> bytes:
        """Returns the cell of `value` at `place` ("table.column.row"), encrypted with the newest key."""
        key = self.keys[0]
        nonce = os.urandom(NONCE_BYTES)
        return key.id + nonce + key.cipher.encrypt(nonce, value.encode(), place.encode())

    def decrypt(self, cell: bytes, place: str) -> str:
        """Returns the text of a cell. Raises InvalidKeys if its key is not in the ring or it is of another place."""
        key = self._by_id.get(cell[:ID_BYTES])
        if key is None:
            raise InvalidKeys(
                "A stored field needs a key that PRO_TRACKER_FIELD_KEYS does not hold. Put the older key back, last."
            )
        start = ID_BYTES + NONCE_BYTES
        nonce, ciphertext = cell[ID_BYTES:start], cell[start:]
        try:
            return key.cipher.decrypt(nonce, ciphertext, place.encode()).decode()
        except InvalidTag as error:
            raise InvalidKeys(
                "A stored field was moved or changed outside this program, or its key is wrong."
            ) from error

    def lookup_hash(self, value: str, kind: str) -> bytes:
        """Returns the HMAC-SHA-256 that a new row stores for `value`, so that it can be found and not read."""
        return _keyed_hash(self.keys[0], value, kind)

    def lookup_hashes(self, value: str, kind: str) -> list[bytes]:
        """Returns the hashes that stored rows may have for `value`, one for each key: older rows used older keys."""
        return [_keyed_hash(key, value, kind) for key in self.keys]


def _field_key(text: str) -> FieldKey:
    name, _, encoded = text.rpartition(":")
    padding = "=" * (-len(encoded) % 4)  # which many key generators leave out
    try:
        raw = base64.urlsafe_b64decode(encoded + padding)
    except (binascii.Error, ValueError):
        raw = b""  # reported below, as a key of the wrong length
    if len(raw) != 32:
        raise InvalidKeys("A key in PRO_TRACKER_FIELD_KEYS is not 32 bytes in URL-safe base64.")
    identity = hashlib.sha256(name.encode() if name else raw).digest()[:ID_BYTES]
    return FieldKey(identity, AESGCM(_derive(raw, b"encrypt")), _derive(raw, b"look-up"))


def _derive(raw: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"pro-tracker " + purpose).derive(raw)


def _keyed_hash(key: FieldKey, value: str, kind: str) -> bytes:
    return hmac.new(key.lookup, f"{kind}\0{value}".encode(), hashlib.sha256).digest()
