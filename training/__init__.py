"""Data -> float models and their reports, on a workstation."""
