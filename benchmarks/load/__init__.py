"""Measure broker, collector and page under load."""
