"""The store -> a page of live counts, trends, comparisons and the state of each device."""
