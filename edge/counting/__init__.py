"""Detections -> tracks, visits and windows."""
