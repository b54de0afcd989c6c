"""The machine: clock, temperature, health, systemd."""
