"""Emulated boards and virtual machines that benchmarks and tests run on."""
