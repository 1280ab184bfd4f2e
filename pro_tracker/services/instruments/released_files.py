"""The data files as they were released: what runs is read from here, not from the files, which may be edited or lost.

Each process reads them once and keeps them. A version that it does not know makes it read once more, and so does
`forget`, which follows a release. Before the first release, and without a database, the files themselves count.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from pro_tracker.domain.record_codes import DefinitionKind


class FileKey(NamedTuple):
    """All versions of one data file. The code of a text pack is "<instrument>.<language>"."""

    kind: DefinitionKind
    code: str


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """One version as it was released: `body` is the content of the file, `sha256` its hash."""

    key: FileKey
    version: str
    sha256: str
    body: Mapping[str, Any]
    released_at: datetime

    @property
    def identity(self) -> "Identity":
        """The key for a cache: another database may hold other content under the same version."""
        return self.key, self.version, self.sha256


Identity = tuple[FileKey, str, str]  # file, version, hash of the content

Releases = Mapping[FileKey, Sequence[ReleasedFile]]  # every version of each file, the oldest first
_sought: set[tuple[DefinitionKind, str, str]] = set()  # versions for which the database was read again: once each
_read: WeakKeyDictionary[object, Releases] = WeakKeyDictionary()


def all_files() -> Releases | None:
    """Returns every released version; None where the files count: no database, or nothing released yet."""
    database = _database()
    if database is None:
        return None
    if database not in _read:
        # Not at the top: `pro-tracker score` starts without SQLAlchemy.
        from pro_tracker.services.instruments import definition_rows  # noqa: PLC0415

        found = definition_rows.read()
        if found is None:
            return None
        _read[database] = found
    return _read[database] or None


def _database() -> object | None:
    """Returns the engine that sessions are bound to; None in a process that has not connected."""
    module = sys.modules.get("pro_tracker.db")
    return module.Session.kw.get("bind") if module else None


def versions(kind: DefinitionKind, code: str) -> Sequence[ReleasedFile] | None:
    """Returns the released versions of one file, the oldest first; None where the files count."""
    found = all_files()
    if found is None:
        return None
    key = FileKey(kind, code)
    return found.get(key, ())


def find(kind: DefinitionKind, code: str, version: str) -> ReleasedFile | None:
    """Returns one version; reads the database again for one that this process does not know yet."""
    known = _of_version(versions(kind, code), version)
    unknown = (kind, code, version)
    if known is None and all_files() is not None and unknown not in _sought:
        _sought.add(unknown)
        _read.pop(_database(), None)
        known = _of_version(versions(kind, code), version)
    return known


def codes(kind: DefinitionKind) -> list[str] | None:
    """Returns the codes of this kind of file, sorted; None where the files count."""
    found = all_files()
    if found is None:
        return None
    of_kind = [key.code for key in found if key.kind == kind]
    return sorted(of_kind)


def forget() -> None:
    """Makes the next look-up read the database again."""
    _sought.clear()
    _read.pop(_database(), None)


def version_order(version: str) -> tuple[int, ...]:
    """Returns the sort key of a version, by which 1.10 follows 1.9."""
    parts = version.split(".")
    return tuple(map(int, parts))


def _of_version(found: Sequence[ReleasedFile] | None, version: str) -> ReleasedFile | None:
    for each in found or ():
        if each.version == version:
            return each
    return None
