"""Kafka in bulk: lanes over librdkafka's C interface, the group, topics and clusters to test against."""
