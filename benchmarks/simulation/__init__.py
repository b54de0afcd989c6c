"""Simulated devices, visitors and scenes: the input of benchmarks and tests."""
