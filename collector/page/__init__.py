"""The page of a store: live counts, trends, comparisons, and the state of each device."""
