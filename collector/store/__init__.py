"""The store: CSV files by day and site, roll-ups, reading and retention."""
