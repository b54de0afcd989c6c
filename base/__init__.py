"""Shared plumbing: strict TOML settings and the log format. No numpy, no MQTT."""
