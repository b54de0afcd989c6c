"""Errors of the contract, named for what is done about them.

::

    base.errors.FacetallyError
    ├── BundleError    stop (exit code 2): a model bundle does not match its card
    ├── ReleaseError   stop (exit code 2), a device stays on its slot: a manifest of a release is invalid
    ├── TopicError     stop (exit code 2): a site or device id cannot be part of a topic
    └── BadMessage     count the message and set it aside: it violates the contract
"""

from base.errors import FacetallyError


class BundleError(FacetallyError):
    """A model file and its card do not belong together, or the card is invalid."""


class TopicError(FacetallyError):
    """A site or device id cannot be part of an MQTT topic and of a folder name."""


class ReleaseError(FacetallyError):
    """The manifest of a release or of a device is invalid, or has nothing for this kind of device."""


class BadMessage(FacetallyError):
    """A payload that arrived on a topic of the contract is not a valid message."""
