"""What stands in a message file for each channel, one module a channel: entry, replies, limit."""
