"""Checks that patients and courses are at the sites of the log, and that figures count each course at its site."""

from collections.abc import Iterator

from pro_tracker.ledger_check.context import CheckContext, CheckResult


def check_sites(context: CheckContext) -> list[CheckResult]:
    """Runs the checks. A log that names no sites is not compared with the tables."""
    return [_check_patients(context), _check_courses(context), _check_figures(context)]


def _check_patients(context: CheckContext) -> CheckResult:
    """Finds patients who are not at the site that they were enrolled at or last transferred to."""
    examined = 0
    findings: list[str] = []
    for subject, timeline in context.recorded.patients.items():
        expected = timeline.latest.site
        if expected:
            examined += 1
            if context.sites.patients.get(subject) != expected:
                findings.append(f"subject {subject} is not at {expected}")
    return CheckResult("patient at the wrong site", examined, findings)


def _check_courses(context: CheckContext) -> CheckResult:
    """Finds courses that are not at the site that worked with the patient when they were planned first."""
    examined = 0
    findings: list[str] = []
    for course, expected in _first_sites(context):
        examined += 1
        if context.sites.courses.get(course) != expected:
            findings.append(f"course {course} is not at {expected}")
    return CheckResult("course at the wrong site", examined, findings)


def _first_sites(context: CheckContext) -> Iterator[tuple[str, str]]:
    """Yields (course id, site of the patient at the first entry about the course)."""
    for course, timeline in context.recorded.courses.items():
        patients = context.recorded.patients[timeline.latest.subject]
        patient = patients.at_entry(timeline.entry_numbers[0])
        if patient is not None and patient.site:
            yield course, patient.site


def _check_figures(context: CheckContext) -> CheckResult:
    """Finds study events whose stored figures expect more or fewer visits at a site than its courses have."""
    findings: list[str] = []
    for group, counted in context.sites.counted.items():
        expected = context.sites.expected.get(group, 0)
        if expected != counted:
            findings.append(f"{group.event} at {group.site}: {expected} in the figures, {counted} of its courses")
    return CheckResult("course counted at another site", len(context.sites.counted), findings)
