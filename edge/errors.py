"""The daemon's own errors, named for what is done about them.

FacetallyError
├── CameraLost         try again, with back-off
├── ClipError          stop: a file does not open or ends too early (exit 2)
├── SpoolError         keep windows in memory, try again; at start: stop (exit 2)
│   └── SpoolCorrupt   set the file aside, start a new one
└── RuntimeMissing     stop: no TFLite runtime works here (exit 2)
"""

from base.errors import FacetallyError
from contract.message import Reason


class CameraLost(FacetallyError):
    """A live source does not open, or gave no frame within its limit.

    ``hung``: the driver did not come back at all, so that trying again in this process may not help; ``reason``: what
    the window says.
    """

    def __init__(self, message: str, *, hung: bool = False, reason: Reason = "no_camera") -> None:
        super().__init__(message)
        self.hung, self.reason = hung, reason


class ClipError(FacetallyError):
    """A video, animation or folder of pictures that does not open, holds no picture, or is cut off."""


class SpoolError(FacetallyError):
    """The spool cannot be opened, read or written now: no room, no right, locked."""


class SpoolCorrupt(SpoolError):
    """The spool's file is not a database, or is damaged."""


class RuntimeMissing(FacetallyError):
    """None of the TFLite runtimes could make an interpreter."""
