"""Errors of the updater, named for what it does about them.

::

    base.errors.FacetallyError
    +-- RepositoryUnreachable   try again at the next run
    +-- RepositoryRefused       the same; logged once, because somebody may attack the device
    +-- ReleaseBad              do not try this number again
    +-- InstallFailed           try again, but not for ever: the cause may be the release or the device
    +-- ReleaseWithdrawn        go back from it at once, and do not try this number again
    +-- NoRoom                  try again at the next run
"""

from base.errors import FacetallyError


class RepositoryUnreachable(FacetallyError):
    """The release repository does not answer, or not with the file asked for."""


class RepositoryRefused(FacetallyError):
    """Metadata or a file of the repository is not what the trusted keys have signed, is expired, or is older."""


class ReleaseBad(FacetallyError):
    """A signed release cannot be installed here, or fails its own test; it would fail again."""


class ReleaseWithdrawn(FacetallyError):
    """The repository names another release or configuration than the one on trial."""


class InstallFailed(FacetallyError):
    """A release could not be installed, for a reason that may lie outside of it."""


class NoRoom(FacetallyError):
    """There is too little free space on the disk."""
