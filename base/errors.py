"""The root of facetally's error tree, and the error for wrong settings.

::

    FacetallyError
    ├── SettingsError            stop (exit code 2): a configuration file, key or value is wrong
    ├── BundleError              stop (exit code 2): a model bundle does not match its card      contract.errors
    ├── ReleaseError             stop (exit code 2), keep the slot: a release's manifest is wrong   contract.errors
    ├── TopicError               stop (exit code 2): a site or device id is invalid              contract.errors
    ├── BadMessage               count the message and set it aside                              contract.errors
    │   └── OverLimit            the same: valid, but beyond a limit of its device               collector.errors
    ├── CameraLost               try again with back-off                                         edge.errors
    ├── ClipError                stop (exit code 2): a file cannot be played                     edge.errors
    ├── SpoolError               keep windows in memory, try again; at start: stop               edge.errors
    │   └── SpoolCorrupt         set the file aside, start a new one                             edge.errors
    ├── RuntimeMissing           stop (exit code 2): no TFLite runtime works                     edge.errors
    ├── StoreFailed              acknowledge nothing, reopen the store after a pause             collector.errors
    ├── StoreRefused             stop (exit code 1): the store cannot be used as it is           collector.errors
    └── SyncFailed               try again, or stop (exit code 1): PostgreSQL is away or refuses collector.errors
        └── SyncRefused          stop (exit code 1): the tables are of a newer version           collector.errors
"""


class FacetallyError(Exception):
    """The root of all errors that facetally raises on purpose. Its text says what is wrong and where."""


class SettingsError(FacetallyError):
    """A configuration file, key or value is wrong. The text names file, key, value and what is allowed."""
