"""Sending of due messages to their providers, and what providers report about them; decides no plan."""
