"""The errors of the collector, named for what is done about them.

FacetallyError
├── StoreFailed    acknowledge nothing, open the store again after a pause
└── StoreRefused   stop: the store cannot be used as it is, and says why (exit 1)
"""

from contract.errors import FacetallyError


class StoreFailed(FacetallyError):
    """Rows could not be brought to disk: it is full, gone or broken."""


class StoreRefused(FacetallyError):
    """A folder that cannot be written, a writer's name in use, or a file that is not what its name says."""
