"""Brokers, collectors and pages under load."""
