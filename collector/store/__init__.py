"""The store: CSV files by day and site, roll-ups by hour, reading, and retention."""
