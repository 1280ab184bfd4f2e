"""Health of the service itself: heartbeats, incidents, readiness. Reads no answers."""
