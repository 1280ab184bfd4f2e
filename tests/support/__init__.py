"""Fixtures, builders and fakes that tests share; no test lives here."""
