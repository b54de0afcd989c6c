"""HTTP requests -> what a store holds, read-only: ``/api/v1`` and ``/metrics``."""
