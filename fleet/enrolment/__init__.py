"""Devices of a fleet: table, inventory, certificates, configurations and cards."""
