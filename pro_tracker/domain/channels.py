"""The channels on which messages go to subjects."""

CHANNELS = ("email", "sms")
