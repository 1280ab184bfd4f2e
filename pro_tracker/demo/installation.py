"""The demonstration's folder: generated secrets, database, mails, and a lock: one demonstration at a time."""

import base64
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pro_tracker.domain.errors import ProTrackerError

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else: people type it from the screen


class AlreadyRunning(ProTrackerError):
    """Another demonstration uses this folder now."""


@dataclass(frozen=True)
class Installation:
    """One demonstration's files and addresses."""

    folder: Path
    broker_socket: Path
    web_port: int
    mail_page_port: int
    smtp_port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def mail_page_url(self) -> str:
        return f"http://127.0.0.1:{self.mail_page_port}"

    @property
    def password(self) -> str:
        """The one password of all demonstration accounts; another on every machine."""
        return self._secrets["DEMO_PASSWORD"]

    @property
    def is_filled(self) -> bool:
        """Whether the first run got as far as having its synthetic patients."""
        return self._filled.exists()

    def mark_filled(self) -> None:
        self._filled.touch()

    def remove_database(self) -> None:
        """Take away what an earlier, interrupted first run left half done."""
        for path in self.folder.glob("pro-tracker.sqlite3*"):
            path.unlink()

    def environment(self) -> dict[str, str]:
        """The variables that every process of the service reads."""
        return {
            "PRO_TRACKER_DATABASE_URL": f"sqlite:///{self.folder / 'pro-tracker.sqlite3'}",
            "PRO_TRACKER_BROKER_URL": f"redis+socket://{self.broker_socket}",
            "PRO_TRACKER_SMTP_URL": f"smtp://127.0.0.1:{self.smtp_port}",
            "PRO_TRACKER_BASE_URL": self.base_url,
            "PRO_TRACKER_MAIL_FROM": "no-reply@clinic.example",
            "PRO_TRACKER_SECRET_KEY": self._secrets["PRO_TRACKER_SECRET_KEY"],
            "PRO_TRACKER_FIELD_KEYS": self._secrets["PRO_TRACKER_FIELD_KEYS"],
        }

    @property
    def _filled(self) -> Path:
        return self.folder / "filled"

    @cached_property
    def _secrets(self) -> dict[str, str]:
        path = self.folder / "secrets.env"
        if not path.exists():
            _write_private(path, "".join(f"{name}={value}\n" for name, value in _new_secrets().items()))
        return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


@contextmanager
def claim(folder: Path) -> Iterator[Path]:
    """Hold the folder for this process alone, and give a temporary one for sockets. Raises AlreadyRunning."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"A demonstration is running from {folder} already. Stop that one first (Ctrl-C in its window)."
            ) from error
        # A socket's path may have no more than 107 bytes, so it does not live below the folder.
        with tempfile.TemporaryDirectory(prefix="pro-tracker-") as sockets:
            yield Path(sockets)


def clear(folder: Path) -> None:
    """Remove everything of earlier runs from a claimed folder."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def _new_secrets() -> dict[str, str]:
    groups = ["".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4)]
    return {
        "PRO_TRACKER_SECRET_KEY": secrets.token_hex(32),
        "PRO_TRACKER_FIELD_KEYS": "demo:" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "DEMO_PASSWORD": "-".join(groups),
    }


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
