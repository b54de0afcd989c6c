"""Version of the installed package."""

from functools import cache
from importlib import metadata


@cache
def installed_version() -> str:
    """Return the version of facetally, ``unknown`` if it runs from a folder that is not installed."""
    try:
        return metadata.version("facetally")
    except metadata.PackageNotFoundError:
        return "unknown"
