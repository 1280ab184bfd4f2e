"""Reads the CSV files that commands are given."""

from pathlib import Path

from pro_tracker.domain.errors import InvalidInput


def read_text(path: Path) -> str:
    """Returns the text of a file. Raises InvalidInput if it cannot be read, or is not UTF-8."""
    content = _read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        advice = "Save it again as CSV UTF-8."
        raise InvalidInput(f"{path} is not UTF-8 text (line {line}, byte {error.start + 1}). {advice}") from error


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise InvalidInput(f"{path} is a folder. Name the file.") from None
    except FileNotFoundError:
        raise InvalidInput(f"There is no file {path}.") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
