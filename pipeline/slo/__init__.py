"""The SLO app: reads every process's metrics, and says when a promise about latency or outcomes is being broken."""
