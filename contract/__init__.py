"""What device and collector agree on: labels, messages, topics, the model card. No numpy, no MQTT, no files."""
