"""A private Redis (or Valkey): own folder, free loopback port, the settings that the queue needs."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from tests.servers.process import answers, end, find_program, free_port, start, wait_until


@dataclass
class RedisServer:
    """A broker that tests may stop, kill, freeze and restart on the same port with the same data."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        options += ["--unixsocket", str(self.folder / "socket")]
        command = [find_program("redis-server", "valkey-server"), *options, "--appendonly", "yes"]
        self.process = start([*command, "--maxmemory-policy", "noeviction"], log=self.folder / "log")
        wait_until(lambda: answers(self.port), what=f"Redis, see {self.folder}/log")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            end(self.process, first=how)

    def flush(self) -> None:
        """Deletes everything, as FLUSHALL does."""
        with redis.Redis(port=self.port) as client:
            client.flushall()


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="pro-tracker-redis-"))
    server = RedisServer(folder, free_port())
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def broker(_redis_server: RedisServer) -> RedisServer:
    """The running, empty broker. A test that asks for it finds its address in PRO_TRACKER_BROKER_URL."""
    if _redis_server.process is None or _redis_server.process.poll() is not None:
        _redis_server.start()
    _redis_server.flush()
    return _redis_server
