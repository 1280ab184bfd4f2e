"""Synthetic cohorts: made-up people live through the real services under a simulated clock; no row is inserted done."""
