"""Pages that show a protocol's messages as patients get them, with example values and in each language."""

from flask import Response, current_app, render_template, request
from sqlalchemy import select

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import NotFound
from pro_tracker.languages import patient_languages
from pro_tracker.models.site import Site
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.sending import message_previews
from pro_tracker.services.sending.message_previews import PreviewExample
from pro_tracker.web import access, security
from pro_tracker.web.session import db_session
from pro_tracker.web.staff.blueprint import blueprint


@blueprint.get("/messages", endpoint="message_previews")
@access.staff(Role.COORDINATOR, Role.ADMINISTRATOR, sites="none")
def show_message_previews() -> str:
    """Shows every message of the protocol and language of the query, by default of the first of each."""
    protocols = protocol_catalog.protocols()
    example = _example(
        request.args.get("protocol") or protocols[0].code,
        request.args.get("language") or patient_languages()[0],
    )
    security.use_policy(security.FRAMING_POLICY)
    return render_template(
        "staff/message_previews.html",
        protocols=protocols,
        example=example,
        codes=patient_languages(),
        from_address=current_app.config["MAIL_SENDER"],
        previews=message_previews.previews(example),
    )


@blueprint.get("/messages/<protocol_code>/<language>/<template>")
@access.staff(Role.COORDINATOR, Role.ADMINISTRATOR, sites="none")
def preview_mail(protocol_code: str, language: str, template: str) -> Response:
    """Returns the HTML of one mail, for a frame of the page above: no script, form or link in it works."""
    example = _example(protocol_code, language)
    mail = message_previews.mail(example, template, to_helper="helper" in request.args)
    security.use_policy(security.FRAMED_POLICY)
    return Response(mail.html, mimetype="text/html")


def _example(protocol_code: str, language: str) -> PreviewExample:
    """Returns the example values, with one of the account's own clinics, for administrators any. Raises NotFound."""
    own = access.account().sites
    site = own[0] if own else db_session().scalar(select(Site).order_by(Site.name).limit(1))
    if site is None:
        raise NotFound("There is no clinic yet, so no message can be shown.")
    if language not in patient_languages():
        raise NotFound("Patients are not written to in this language.")
    protocol = protocol_catalog.protocol(protocol_code)
    return PreviewExample(protocol, language, site, current_app.config["BASE_URL"], clock.now())
