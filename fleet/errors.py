"""Errors of the fleet command, named for what is done about them.

::

    base.errors.FacetallyError
    ├── Refused        stop (exit code 2): an argument, a table or the state of the fleet does not allow it
    ├── ToolFailed     stop (exit code 1): pip, the broker or the collector did not do its part; try again
    └── RolledBack     stop (exit code 1): a rollout was rolled back or stopped
"""

from base.errors import FacetallyError


class Refused(FacetallyError):
    """An argument, a table or the state of the fleet does not allow the command."""


class ToolFailed(FacetallyError):
    """A program or a server that the command needs failed. The command may be repeated."""


class RolledBack(FacetallyError):
    """A rollout did not reach all its devices. The text says why."""
