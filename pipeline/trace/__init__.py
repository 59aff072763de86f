"""Traces: contexts carried from events to their decisions, spans of batches for whoever collects them."""
