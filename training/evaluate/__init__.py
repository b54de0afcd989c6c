"""Trained models -> metrics, reports and contact sheets."""
