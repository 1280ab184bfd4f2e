"""Reports about mail to helpers. They come from the mail service, signed as those about mail to subjects."""

from pro_tracker.web.webhooks.email import PROVIDER, SECRET, reply

__all__ = ["PROVIDER", "SECRET", "reply"]
