"""Real processes killed, queues emptied: nothing is sent twice and nothing is lost in silence."""
