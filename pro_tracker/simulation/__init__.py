"""Synthetic cohorts: synthetic patients use the real services under a simulated clock. No finished row is inserted."""
