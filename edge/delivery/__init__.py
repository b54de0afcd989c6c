"""Delivery: finished windows become messages that reach the collector despite failures of disk, network and broker."""
