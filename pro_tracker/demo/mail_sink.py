"""A mail server for demonstrations: stores each mail as a file instead of delivering it, and shows it in a browser."""

import email
import email.policy
import re
import time
import uuid
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import cast

import click
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Flask, Response, abort, render_template
from werkzeug.serving import WSGIRequestHandler, make_server

SHOWN = 200
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
LINK = re.compile(r"(https?://[^\s<>\"']+)")


@dataclass(frozen=True)
class StoredMail:
    """One stored mail; `id` is its file name without the extension."""

    id: str
    message: EmailMessage

    @property
    def text(self) -> str:
        """Returns the text body, or the HTML body when there is no text."""
        body = self.message.get_body(("plain", "html"))
        if body is None:
            return ""
        return cast(str, body.get_content())

    @property
    def pieces(self) -> list[tuple[bool, str]]:
        """Returns the text in pieces: (is a link, piece)."""
        pieces = [piece for piece in LINK.split(self.text) if piece]
        return [(LINK.fullmatch(piece) is not None, piece) for piece in pieces]

    @property
    def sent(self) -> str:
        """Returns the date of the mail's header as text, or an empty text when it is missing or invalid."""
        try:
            sent_at = parsedate_to_datetime(self.message["Date"])
        except (TypeError, ValueError):
            return ""
        return sent_at.strftime("%Y-%m-%d %H:%M")


class Mailbox:
    """The folder of mails, named by time of arrival; also the aiosmtpd handler that stores each accepted mail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Stores the mail before confirming it."""
        name = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        unfinished = self.folder / f"{name}.part"
        unfinished.write_bytes(cast(bytes, envelope.original_content))
        unfinished.rename(self.folder / f"{name}.eml")
        return f"250 2.0.0 stored as {name}"

    def newest(self) -> list[StoredMail]:
        """Returns the newest mails, newest first."""
        paths = sorted(self.folder.glob("*.eml"), reverse=True)
        return [_read(path) for path in paths[:SHOWN]]

    def count(self) -> int:
        """Returns the number of stored mails."""
        return len(list(self.folder.glob("*.eml")))

    def find(self, mail_id: str) -> StoredMail | None:
        """Returns the mail with this id, or None."""
        # Searching the listing keeps user input out of file paths.
        for path in self.folder.glob("*.eml"):
            if path.stem == mail_id:
                return _read(path)
        return None


def create_page(mailbox: Mailbox) -> Flask:
    """Returns the application with a page for the list of mails and one for a single mail."""
    app = Flask(__name__)
    app.config["TRUSTED_HOSTS"] = ["127.0.0.1", "localhost"]

    @app.get("/")
    def mails() -> str:
        return render_template("mails.html", mails=mailbox.newest(), count=mailbox.count())

    @app.get("/mails/<mail_id>")
    def mail(mail_id: str) -> str:
        found = mailbox.find(mail_id)
        if found is None:
            abort(404)
        return render_template("mail.html", mail=found)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update({"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"})
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return app


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Logs nothing."""


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="The folder for the mails.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--smtp-port", default=1025, show_default=True)
@click.option("--page-port", default=8025, show_default=True)
def main(folder: Path, host: str, smtp_port: int, page_port: int) -> None:
    """Accept mails on --smtp-port, and show them on --page-port."""
    mailbox = Mailbox(folder)
    controller = Controller(mailbox, hostname=host, port=smtp_port)
    controller.start()
    page = create_page(mailbox)
    server = make_server(host, page_port, page, threaded=True, request_handler=_QuietHandler)
    server.serve_forever()


def _read(path: Path) -> StoredMail:
    content = path.read_bytes()
    message = email.message_from_bytes(content, policy=email.policy.default)
    return StoredMail(path.stem, message)


if __name__ == "__main__":
    main()
