"""Receive MQTT messages, store them, and acknowledge them once they are on disk."""
