"""The staff pages' menu: one table of label, endpoint and the roles that see it."""

from flask import Flask, current_app, request, url_for
from flask_babel import lazy_gettext as _

from pro_tracker.web.access import Access, account

MENU = (
    (_("Who needs me now?"), "staff.home"),
    (_("Call list"), "staff.call_list_page"),
    (_("Patients"), "staff.subjects"),
    (_("Results"), "research.results"),
    (_("Instruments"), "staff.instruments"),
    (_("Accounts"), "staff.accounts"),
    (_("Providers' reports"), "staff.reports"),
)


def init_app(app: Flask) -> None:
    app.template_global("staff_navigation")(staff_navigation)


def staff_navigation() -> list[tuple[str, str, bool]]:
    """(label, address, is this page) of the entries that the account may use, as the routes' own declarations say."""
    return [
        (str(label), url_for(endpoint), request.endpoint == endpoint) for label, endpoint in MENU if may_use(endpoint)
    ]


def may_use(endpoint: str) -> bool:
    """Whether the signed-in account may use this page: asked where a link to it is drawn."""
    access: Access | None = getattr(current_app.view_functions.get(endpoint), "access", None)
    return access is not None and account().role in access.roles
