"""The errors of the contract, named for what is done about them.

FacetallyError
├── SettingsError      stop: a configuration file or value is wrong (exit 2)
├── BundleError        stop: a model bundle is not what its card says (exit 2)
├── TopicError         stop: a site or device id cannot be part of a topic (exit 2)
└── BadMessage         count it, set it aside, go on
"""


class FacetallyError(Exception):
    """The root of every error that facetally raises on purpose; its text says what is wrong and where."""


class SettingsError(FacetallyError):
    """A configuration file, key or value is wrong: names the file, the key and what is allowed."""


class BundleError(FacetallyError):
    """A model file and its card do not belong together, or the card is not a card."""


class TopicError(FacetallyError):
    """A site or device id that cannot be part of an MQTT topic and of a folder name."""


class BadMessage(FacetallyError):
    """Bytes that arrived on a topic and are not a message of the contract."""
