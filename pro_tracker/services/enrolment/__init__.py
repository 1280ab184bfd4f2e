"""Enrolling, correcting, transferring, merging and withdrawing subjects; sends nothing."""
