"""Compare a device's counts with a count by hand, made on a phone at the door."""
