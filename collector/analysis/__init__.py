"""Summaries of stored windows, corrected expression shares and their intervals."""
