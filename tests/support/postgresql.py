"""A real PostgreSQL for tests."""

import pytest

from benchmarks.machines.postgresql import WITH_PASSWORD, Cluster, postgresql, program

__all__ = ["WITH_PASSWORD", "Cluster", "needs_postgresql", "postgresql"]

needs_postgresql = pytest.mark.skipif(
    program("initdb") is None, reason="PostgreSQL's server is not installed (apt-get install postgresql)"
)
