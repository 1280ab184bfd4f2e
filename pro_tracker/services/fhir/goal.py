"""Goal: a patient's own goal with how far it was attained. Its words are never in it: they may say who the person is.

R4 has one achievement status, that of the newest rating; the ratings before it are in the research files.
"""

from zoneinfo import ZoneInfo

from pro_tracker.domain.goal_attainment import MEANINGS, Attainment
from pro_tracker.models.goal import Goal, GoalRating
from pro_tracker.models.subject import Subject
from pro_tracker.services.fhir.datatypes import Json, coding, concept, identifier, local_system, patient_reference

ACHIEVEMENT = "http://terminology.hl7.org/CodeSystem/goal-achievement"


def goal(row: Goal, subject: Subject, base: str, *, is_current: bool) -> Json:
    """The Goal; `is_current`: it is the one that is rated now. One that was entered in error has no rating."""
    resource: Json = {
        "resourceType": "Goal",
        "id": str(row.id),
        "identifier": [identifier(base, "goal", str(row.id))],
        "lifecycleStatus": _lifecycle(row, is_current=is_current),
        "description": concept(text="The patient's own goal, in words that are not given out"),
        "subject": patient_reference(base, subject.study_code),
        "startDate": row.set_at.astimezone(ZoneInfo(subject.time_zone)).date().isoformat(),
        "expressedBy": patient_reference(base, subject.study_code),
    }
    if row.ratings and row.voided_at is None:
        newest = row.ratings[-1]
        resource["statusDate"] = newest.rated_at.astimezone(ZoneInfo(subject.time_zone)).date().isoformat()
        resource["achievementStatus"] = _achievement(newest, base)
    return resource


def _lifecycle(row: Goal, *, is_current: bool) -> str:
    """FHIR R4, goal-status: a goal whose place a newer one took, or that ended with the person's part, is cancelled."""
    if row.voided_at is not None:
        return "entered-in-error"
    return "active" if is_current else "cancelled"


def _achievement(rating: GoalRating, base: str) -> Json:
    step = Attainment(rating.attainment)
    standard = coding(ACHIEVEMENT, "achieved" if step.is_achieved else "not-achieved")
    own = coding(local_system(base, "goal-attainment"), str(int(step)))
    return concept(standard, own, text=MEANINGS[step])
