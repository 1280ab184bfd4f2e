"""Instrument and text pack files, read, checked and looked up; knows no subject, no protocol and no message."""
