"""Files that are there complete or not at all: written under another name and renamed when they are."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pro_tracker.domain.errors import InvalidInput


@contextmanager
def atomic_write(path: Path, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """A text stream for CSV (newline="") that becomes `path` at the end; after an error `path` is what it was before.

    Only its owner may read it. Raises InvalidInput where nothing can be written.
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
