"""The part of a message file that belongs to each channel, one module for each: entry, replies, limit."""
