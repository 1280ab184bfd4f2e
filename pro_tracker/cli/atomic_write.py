"""Writes files atomically: under a temporary name, renamed when complete."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pro_tracker.domain.errors import InvalidInput


@contextmanager
def atomic_write(path: Path, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """Yields a text stream (newline="", as CSV needs) that replaces `path` at the end; after an error `path` is kept.

    Only the owner may read the file. Raises InvalidInput if it cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", newline="", encoding=encoding, delete=False
        ) as stream:
            unfinished = Path(stream.name)
            try:
                yield stream
            except BaseException:
                unfinished.unlink()
                raise
        unfinished.replace(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}. Choose another place.") from error
