"""The words of items and messages, shipped or loaded by a clinic, and which are in effect; sends and asks nothing."""
