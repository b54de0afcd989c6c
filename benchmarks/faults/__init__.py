"""Faults made on purpose, and whether every finished window still arrives, once."""
