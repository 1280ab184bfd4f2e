"""Whether the service itself is well: heartbeats, incidents, readiness; reads no answers."""
