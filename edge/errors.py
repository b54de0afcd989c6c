"""Errors of the edge daemon, named for what the caller does about them.

::

    base.errors.FacetallyError
    +-- CameraLost         retry, with back-off
    +-- ClipError          stop: a file cannot be opened or ends too early (exit code 2)
    +-- SpoolError         keep windows in memory and retry; at start: stop (exit code 2)
    |   +-- SpoolCorrupt   set the file aside and start a new one
    +-- RuntimeMissing     stop: no TFLite runtime works on this machine (exit code 2)
"""

from base.errors import FacetallyError
from contract.fields import Reason


class CameraLost(FacetallyError):
    """A live source cannot be opened, or delivered no frame within its time limit.

    ``hung`` means that the driver never returned, so that a retry in this process may not help. ``reason`` is what the
    counts message reports for the window. ``retry_s`` is the shortest wait before the next attempt.
    """

    def __init__(self, message: str, *, hung: bool = False, reason: Reason = "no_camera", retry_s: float = 0.0) -> None:
        super().__init__(message)
        self.hung, self.reason, self.retry_s = hung, reason, retry_s


class ClipError(FacetallyError):
    """A video, animation or folder of images that cannot be opened, holds no image, or is cut off."""


class SpoolError(FacetallyError):
    """The spool cannot be opened, read or written now: the disk is full, access is denied, or the file is locked."""


class SpoolCorrupt(SpoolError):
    """The spool file is damaged or is not a database."""


class RuntimeMissing(FacetallyError):
    """None of the TFLite runtimes can create an interpreter."""
