"""Simulated traffic: seeded generators, their JSON, and the driver that sends it at a rate."""
