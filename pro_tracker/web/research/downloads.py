"""Downloads of the cohort files for researchers, limited to the sites of the account."""

import io
import tempfile
from contextlib import ExitStack
from typing import IO

from flask import Response, request, send_file

from pro_tracker import clock, db
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.services.results import exports
from pro_tracker.services.results.exports import KINDS, Extent, Kind
from pro_tracker.web import access
from pro_tracker.web.research.blueprint import blueprint
from pro_tracker.web.session import commit, db_session


@blueprint.get("/results/<kind>.csv")
@access.staff(Role.RESEARCHER)
def download(kind: str) -> Response:
    """Sends one cohort file, which is written to disk first.

    A slow download then holds no database transaction open, and an error gives an error page instead of half a file.
    """
    if kind not in KINDS:
        raise NotFound("There is no such file. The results page lists the files there are.")
    code = _study()
    extent = Extent(clock.now(), frozenset(access.account().site_ids), code)
    exports.audit_export(db_session(), access.actor(), kind, extent)
    commit()
    with ExitStack() as unless_sent:
        spool = unless_sent.enter_context(tempfile.TemporaryFile())
        _write(kind, spool, extent)
        unless_sent.pop_all()  # from now on the response closes the file
    name = f"cohort-{code}-{kind}.csv" if code else f"cohort-{kind}.csv"
    return send_file(spool, mimetype="text/csv; charset=utf-8", as_attachment=True, download_name=name)


def _study() -> str | None:
    """Returns the code of the protocol whose study is downloaded; None where there is only one. Raises NotFound."""
    named = request.args.get("study")
    try:
        return exports.chosen_protocol(db_session(), named)
    except InvalidInput as error:
        raise NotFound(str(error)) from error


def _write(kind: Kind, spool: IO[bytes], extent: Extent) -> None:
    text = io.TextIOWrapper(spool, encoding="utf-8", newline="")
    with db.Session() as reader:
        exports.write(reader, kind, text, extent)
    text.detach()
    spool.seek(0)
