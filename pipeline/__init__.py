"""Headrace: Kafka in, decisions out, each under its deadline."""
