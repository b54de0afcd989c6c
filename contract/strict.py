"""The base of all structs that are read strictly."""

from msgspec import Struct


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all messages, cards and manifests: immutable, keyword-only; unknown keys are errors."""
