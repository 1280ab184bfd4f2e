"""The page with the figures of the cohort."""

from collections import ChainMap
from typing import Any

from flask import render_template, request

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.disclosure import MINIMUM_SHOWN
from pro_tracker.services import audit
from pro_tracker.services.results import cohort_results
from pro_tracker.web import access, navigation
from pro_tracker.web.labels import STOP_REASONS, SUPPRESSED, UNCOUNTED_REASONS, study as study_name
from pro_tracker.web.research.blueprint import blueprint
from pro_tracker.web.session import commit, db_session

REASONS = ChainMap[Any, Any](STOP_REASONS, UNCOUNTED_REASONS)


@blueprint.get("/results")
@access.staff(Role.RESEARCHER, Role.CLINICIAN)
def results() -> str:
    site = request.args.get("site", "")
    study = request.args.get("study", "")
    now = clock.now()
    shown = cohort_results.results(db_session(), access.account(), site, study, now=now)
    protocol_code = shown.study.code if shown.study else ""
    detail = {"site": shown.chosen, "protocol": protocol_code}
    audit.record(db_session(), access.actor(), "results.view", now=now, detail=detail)
    commit()
    may_download = navigation.may_use("research.download")
    return render_template(
        "research/results.html",
        results=shown,
        reasons=REASONS,
        least=MINIMUM_SHOWN,
        may_download=may_download,
        suppressed=SUPPRESSED,
        study_name=study_name,
    )
