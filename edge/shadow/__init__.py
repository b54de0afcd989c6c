"""Compare a second classifier with the one that counts, without changing what is counted."""
