"""Tables -> files and charts."""
