"""MQTT messages -> rows on disk, acknowledged afterwards."""
