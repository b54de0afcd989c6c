"""Rebuild shipped bundles from published data: chains of training runs and conversions."""
