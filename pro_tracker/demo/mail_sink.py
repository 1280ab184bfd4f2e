"""A mail server for demonstrations: delivers nothing, keeps each mail as a file and shows them in the browser."""

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
    """One mail as it lies in the folder; `id` is its file's name without the ending."""

    id: str
    message: EmailMessage

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain", "html"))
        return "" if body is None else cast(str, body.get_content())

    @property
    def pieces(self) -> list[tuple[bool, str]]:
        """The text in pieces, each with whether it is a link."""
        return [(bool(LINK.fullmatch(piece)), piece) for piece in LINK.split(self.text) if piece]

    @property
    def sent(self) -> str:
        """When the sender says it was sent, as people read it."""
        try:
            return parsedate_to_datetime(self.message["Date"]).strftime("%Y-%m-%d %H:%M")
        except (TypeError, ValueError):
            return ""


class Mailbox:
    """The folder of mails, newest last by name. Also what aiosmtpd hands each accepted mail to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Store the mail before saying that it was accepted."""
        name = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        unfinished = self.folder / f"{name}.part"
        unfinished.write_bytes(cast(bytes, envelope.original_content))
        unfinished.rename(self.folder / f"{name}.eml")
        return f"250 2.0.0 kept as {name}"

    def newest(self) -> list[StoredMail]:
        names = sorted(self.folder.glob("*.eml"), reverse=True)
        return [_read(path) for path in names[:SHOWN]]

    def count(self) -> int:
        return sum(1 for _ in self.folder.glob("*.eml"))

    def find(self, mail_id: str) -> StoredMail | None:
        # Looked up in the listing, so that no name given from outside is ever part of a path.
        return next((_read(path) for path in self.folder.glob("*.eml") if path.stem == mail_id), None)


def create_page(mailbox: Mailbox) -> Flask:
    """The pages that list the mails and show one."""
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
        """Leave requests out of the terminal."""


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where the mails are kept.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--smtp-port", default=1025, show_default=True)
@click.option("--page-port", default=8025, show_default=True)
def main(folder: Path, host: str, smtp_port: int, page_port: int) -> None:
    """Accept every mail on --smtp-port, and show the mails on --page-port."""
    mailbox = Mailbox(folder)
    controller = Controller(mailbox, hostname=host, port=smtp_port)
    controller.start()
    make_server(host, page_port, create_page(mailbox), threaded=True, request_handler=_QuietHandler).serve_forever()


def _read(path: Path) -> StoredMail:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    return StoredMail(path.stem, message)


if __name__ == "__main__":
    main()
