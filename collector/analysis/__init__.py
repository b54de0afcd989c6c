"""Windows -> summaries, corrected expression shares and their intervals."""
