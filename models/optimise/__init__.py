"""Cheaper variants of a registered model: made, measured beside it, and held to limits before they are registered."""
