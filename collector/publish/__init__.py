"""What the collector publishes for other programs: hours of devices, and their description for Home Assistant."""
