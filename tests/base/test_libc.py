"""The C library is loaded at its first use."""

import subprocess
import sys


def test_nothing_is_loaded_at_import() -> None:
    """Modules that make system calls can be imported where no library can be loaded."""
    program = "import ctypes; ctypes.CDLL = None; import base.file_system, edge.system.clock"
    subprocess.run([sys.executable, "-c", program], check=True)
