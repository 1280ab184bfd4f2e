"""The page with the figures of the cohort."""

from flask import render_template, request

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.disclosure import MINIMUM_SHOWN
from pro_tracker.services import audit
from pro_tracker.services.results.cohort_results import results as cohort_results
from pro_tracker.web import access, navigation
from pro_tracker.web.labels import UNANSWERED_REASONS
from pro_tracker.web.research.blueprint import blueprint
from pro_tracker.web.session import commit, db_session


@blueprint.get("/results")
@access.staff(Role.RESEARCHER, Role.CLINICIAN)
def results() -> str:
    shown = cohort_results(db_session(), access.account(), request.args.get("site", ""))
    audit.record(db_session(), access.actor(), "results.view", now=clock.now(), detail={"site": shown.chosen})
    commit()
    may_download = navigation.may_use("research.download")
    facts = {"results": shown, "reasons": UNANSWERED_REASONS, "least": MINIMUM_SHOWN, "may_download": may_download}
    return render_template("research/results.html", **facts)
