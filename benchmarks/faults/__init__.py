"""Inject faults into the real daemon, broker and collector, and check that every finished window arrives once."""
