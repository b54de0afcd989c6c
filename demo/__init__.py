"""Demonstrate the whole system on a rendered clip or a camera: ``make run``."""
