"""Enrolling and withdrawing subjects, one by one or from a roster; sends nothing."""
