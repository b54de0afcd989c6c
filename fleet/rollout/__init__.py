"""Rollout of a release in stages: what devices report, what is decided, and what is done."""
