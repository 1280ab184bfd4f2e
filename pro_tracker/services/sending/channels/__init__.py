"""Composes the messages of each channel, one module for each. Sends nothing."""
