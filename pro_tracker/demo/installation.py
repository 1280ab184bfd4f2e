"""The folder of the demonstration: generated secrets, database, mails, and a lock for a single demonstration."""

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

PROTOCOLS = Path(__file__).parent / "protocols"
CONSENTS = Path(__file__).parent / "consents"
PROTOCOL = "demo-ketamine-5day"  # the one that the synthetic patients follow
SECOND_PROTOCOL = "demo-short-follow-up"  # of every eighth of them
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no ambiguous characters: users type the password from the screen


class NoDataFolder(ProTrackerError):
    """PRO_TRACKER_DATA_FOLDER is set and names no folder."""


class AlreadyRunning(ProTrackerError):
    """Another demonstration is using this folder."""


@dataclass(frozen=True)
class DemoInstallation:
    """The files and ports of one demonstration."""

    folder: Path
    broker_socket: Path
    web_port: int
    mail_page_port: int
    smtp_port: int

    @property
    def base_url(self) -> str:
        """Returns the address of the web pages."""
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def mail_page_url(self) -> str:
        """Returns the address of the page with the sent mails."""
        return f"http://127.0.0.1:{self.mail_page_port}"

    @property
    def password(self) -> str:
        """Returns the password of all accounts; it differs between machines."""
        return self._secrets["DEMO_PASSWORD"]

    @property
    def is_filled(self) -> bool:
        """Returns whether the first run has added all synthetic patients."""
        return self._filled.exists()

    def mark_filled(self) -> None:
        """Records that the first run is complete."""
        self._filled.touch()

    def remove_database(self) -> None:
        """Removes the incomplete database of an interrupted first run."""
        for path in self.folder.glob("pro-tracker.sqlite3*"):
            path.unlink()

    @property
    def data_folder(self) -> Path:
        """Returns the folder of the instruments, text packs, protocols and messages that are not shipped."""
        return self.folder / "data"

    def add_data_files(self, own: str | None) -> None:
        """Copies the user's own data folder, then the protocols and forms of the demonstration. Raises NoDataFolder."""
        if own and not Path(own).is_dir():
            raise NoDataFolder("PRO_TRACKER_DATA_FOLDER must be a folder that is there.")
        if own:
            shutil.copytree(own, self.data_folder, dirs_exist_ok=True)
        for folder in (PROTOCOLS, CONSENTS):
            target = self.data_folder / folder.name
            shutil.copytree(folder, target, dirs_exist_ok=True)

    def environment(self) -> dict[str, str]:
        """Returns the environment variables of every process of the service."""
        return {
            "PRO_TRACKER_DATABASE_URL": f"sqlite:///{self.folder / 'pro-tracker.sqlite3'}",
            "PRO_TRACKER_BROKER_URL": f"redis+socket://{self.broker_socket}",
            "PRO_TRACKER_SMTP_URL": f"smtp://127.0.0.1:{self.smtp_port}",
            "PRO_TRACKER_BASE_URL": self.base_url,
            "PRO_TRACKER_MAIL_FROM": "no-reply@clinic.example",
            "PRO_TRACKER_DATA_FOLDER": str(self.data_folder),
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
            lines = [f"{name}={value}\n" for name, value in _new_secrets().items()]
            _write_private(path, "".join(lines))
        lines = path.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


@contextmanager
def lock(folder: Path) -> Iterator[Path]:
    """Locks the folder for this process and provides a temporary folder for sockets. Raises AlreadyRunning."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock_file:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"A demonstration is already running from {folder}. Stop it first (Ctrl-C in its window)."
            ) from error
        # The path of a socket is limited to 107 bytes, so sockets are not below the folder.
        with tempfile.TemporaryDirectory(prefix="pro-tracker-") as sockets:
            yield Path(sockets)


def clear(folder: Path) -> None:
    """Removes everything but the lock from a locked folder."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def _new_secrets() -> dict[str, str]:
    field_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return {
        "PRO_TRACKER_SECRET_KEY": secrets.token_hex(32),
        "PRO_TRACKER_FIELD_KEYS": f"demo:{field_key}",
        "DEMO_PASSWORD": _new_password(),
    }


def _new_password() -> str:
    """Returns four groups of four characters."""
    characters = [secrets.choice(ALPHABET) for _ in range(16)]
    groups = ["".join(characters[start : start + 4]) for start in range(0, 16, 4)]
    return "-".join(groups)


def _write_private(path: Path, text: str) -> None:
    """Creates a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
