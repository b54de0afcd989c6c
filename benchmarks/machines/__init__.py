"""Debian systems to test on: emulated arm64 boards, an emulated machine, and containers that boot systemd."""
