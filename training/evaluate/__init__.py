"""Metrics, reports and contact sheets of trained models."""
