"""Plumbing that edge, collector and tools share: TOML settings, broker options, TLS, back-off, files, log format.

No numpy, no MQTT.
"""
