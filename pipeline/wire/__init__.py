"""The formats on the wire: events in, decisions, dead letters and metrics out."""
