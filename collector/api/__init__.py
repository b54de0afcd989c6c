"""The read-only HTTP API and the metrics for Prometheus."""
