"""Errors of the contract, named for what is done about them.

::

    base.errors.FacetallyError
    +-- BundleError      a model bundle is not what its card says: stop, exit code 2
    +-- TopicError       a site or device id cannot be part of a topic: stop, exit code 2
    +-- BadMessage       a message cannot be used: count it, set it aside, go on
"""

from base.errors import FacetallyError


class BundleError(FacetallyError):
    """A model file and its card do not belong together, or the card is not a card."""


class TopicError(FacetallyError):
    """A site or device id that cannot be part of an MQTT topic and of a folder name."""


class BadMessage(FacetallyError):
    """Bytes that arrived on a topic and are not a message of the contract."""
