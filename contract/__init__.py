"""The contract between device and collector: labels, messages, topics, receipts, model cards and releases.

No numpy, no MQTT, no files.
"""
