"""Prove what the daemon writes and sends, by tracing its system calls."""
