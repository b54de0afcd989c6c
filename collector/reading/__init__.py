"""What page, API and report show: read from the store, its roll-ups and the sums of the last day."""
