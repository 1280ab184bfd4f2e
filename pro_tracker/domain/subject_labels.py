"""The label of a subject: says on pages and in messages whose questions they are, without a name. Pure."""

MAX_LENGTH = 12
FROM_STUDY_CODE = 2  # characters; few, so that the label says nothing to others


def shown_label(chosen: str, study_code: str) -> str:
    """Returns the label that the clinic chose, or without one the end of the study code: "01" of "north-0101"."""
    return chosen or study_code[-FROM_STUDY_CODE:]
