"""Sums of windows by hour and quarter of an hour in files, for views of long ranges; retention, which keeps them."""
