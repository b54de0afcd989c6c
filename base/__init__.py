"""Plumbing that edge, collector and tools share: settings, broker options, TLS, secrets, files, back-off, log format.

No numpy, no MQTT.
"""
