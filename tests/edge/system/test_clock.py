"""Whether the kernel's clock is synchronised, also if the kernel refuses to say."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import LIMIT_S

ROOT = Path(__file__).parents[3]
CALLS = "adjtimex,clock_adjtime"
WITHOUT_ADJTIMEX = ("strace", "-o/dev/null", f"--trace={CALLS}", f"--inject={CALLS}:error=EPERM")
PROGRAM = """
import logging
from edge.system.clock import is_synchronised
logging.basicConfig(format="%(levelname)s %(message)s")
print([is_synchronised() for _ in range(3)])
"""


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_refused_call_is_logged_once():
    """If adjtimex is refused, the clock counts as not synchronised, and the refusal is logged once."""
    done = subprocess.run(
        [*WITHOUT_ADJTIMEX, sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    assert done.stdout == "[False, False, False]\n"
    assert done.stderr == 'ERROR event=clock_unknown reason="Operation not permitted" errno=1\n'
