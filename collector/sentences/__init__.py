"""Sentences that the page and the report share, in the language of the reader, so that both say the same."""
