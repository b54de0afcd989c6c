"""Simulated people, devices and fleets."""
