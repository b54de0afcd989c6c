"""The store: CSV and Parquet files by day and site, reading, and compaction."""
