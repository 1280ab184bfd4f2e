"""How a message of each channel is composed, one module a channel. Sends nothing."""
