"""Bad connections: a TCP proxy on a port of this machine, between a browser and the server."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto

BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 11\r\nConnection: close\r\n\r\nBad gateway"
)
PORTAL = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\nConnection: close\r\n\r\nWelcome"


class Line(Enum):
    """State of the network: each one does something else with a request."""

    WORKS = auto()
    CUT = auto()  # no connection
    HANGS = auto()  # accepts the request, and never answers
    LOSES_REPLIES = auto()  # the server has the request, its reply does not arrive
    BAD_GATEWAY = auto()
    CAPTIVE_PORTAL = auto()


REPLIES = {Line.BAD_GATEWAY: BAD_GATEWAY, Line.CAPTIVE_PORTAL: PORTAL}


class Network:
    """Passes connections on to the server; `set` decides what happens to all that are open and to the next ones."""

    def __init__(self, port: int, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._line = Line.WORKS
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, line: Line) -> None:
        """Changes the network. Connections that are open end, as they do when a phone leaves a room."""
        with self._lock:
            self._line = line
            ending, self._open = self._open, set()
        for each in ending:
            _end(each)

    def close(self) -> None:
        """Ends the network and its port."""
        _end(self._listener)
        self.set(Line.CUT)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            line = self._line
            self._open.add(client)
        with suppress(OSError):
            match line:
                case Line.WORKS | Line.LOSES_REPLIES:
                    self._pass_on(client, line)
                case Line.CUT:
                    _end(client)
                case Line.BAD_GATEWAY | Line.CAPTIVE_PORTAL:
                    client.recv(65536)
                    client.sendall(REPLIES[line])
                    _end(client)
                case Line.HANGS:
                    pass

    def _pass_on(self, client: socket.socket, line: Line) -> None:
        server = socket.create_connection(self._server)
        with self._lock:
            self._open.add(server)
        threading.Thread(target=self._copy, args=(client, server), daemon=True).start()
        self._copy(server, client, is_lost=line is Line.LOSES_REPLIES)

    def _copy(self, source: socket.socket, target: socket.socket, *, is_lost: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_lost:
                    break
                target.sendall(data)
        for each in (source, target):
            _end(each)
            with self._lock:
                self._open.discard(each)


@contextmanager
def network_between(port: int, server_port: int) -> Iterator[Network]:
    """Runs a network on `port` to the server on another one."""
    network = Network(port, server_port)
    yield network
    network.close()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
