"""Text files that are installed with a package, such as a sample configuration."""

import sys
from importlib.resources import files


def print_packaged_file(package: str, *names: str) -> None:
    """Write a UTF-8 file of an installed package to standard output; ``names`` is its path in the package."""
    sys.stdout.write(files(package).joinpath(*names).read_text(encoding="utf-8"))
    sys.stdout.flush()
