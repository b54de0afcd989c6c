"""Plumbing that edge, collector and tools share: TOML settings, broker options, TLS, secrets, back-off, log format.

No numpy, no MQTT.
"""
