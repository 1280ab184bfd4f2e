"""Stored rows as FHIR resources; only reads, and never gives identity or contacts."""
