"""Deal with the machine: its clock, temperature, health, and service manager."""
