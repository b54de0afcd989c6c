"""The contract between device and collector: labels, messages, topics, receipts and model cards.

No numpy, no MQTT, no files.
"""
