"""Fault tests with real processes: workers, broker and database are killed; no message is lost or sent twice."""
