"""The menu of staff pages. The access declarations of the routes determine which entries an account sees."""

from flask import Flask, request, url_for
from flask_babel import lazy_gettext as _

from pro_tracker.web import access

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
    """Returns (label, URL, is the current page) of each entry that the signed-in account may use."""
    rows = []
    for label, endpoint in MENU:
        if may_use(endpoint):
            is_current = request.endpoint == endpoint
            rows.append((str(label), url_for(endpoint), is_current))
    return rows


def may_use(endpoint: str) -> bool:
    """Returns whether the signed-in account may use the page; templates ask before they show a link to it."""
    declared = access.of_endpoint(endpoint)
    if declared is None:
        return False
    return access.account().role in declared.roles
