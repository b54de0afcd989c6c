"""The weekly report: one self-contained HTML or PDF file, and the mail that brings it."""
