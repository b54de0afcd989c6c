"""The root of facetally's errors, and the one for settings.

::

    FacetallyError
    +-- SettingsError        a configuration file, key or value is wrong: stop, exit code 2
    +-- ...                  `contract.errors`, `edge.errors`, `collector.errors`
"""


class FacetallyError(Exception):
    """The root of every error that facetally raises on purpose; its text says what is wrong and where."""


class SettingsError(FacetallyError):
    """A configuration file, key or value is wrong: names the file, the key and what is allowed."""
