"""Export tables as files, text and charts."""
