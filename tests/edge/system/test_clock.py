"""What the kernel says of its clock, and what is made of it when it says nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CALLS = "adjtimex,clock_adjtime"
FORBIDS = ("strace", "-o/dev/null", f"--trace={CALLS}", f"--inject={CALLS}:error=EPERM")
ASK = """
import logging
from edge.system.clock import is_synchronised
logging.basicConfig(format="%(levelname)s %(message)s")
print([is_synchronised() for _ in range(3)])
"""


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_kernel_that_forbids_the_question_is_said_once():
    """Not synchronised, as far as is known; but that nothing is known is in the log, with what the kernel said."""
    done = subprocess.run(
        [*FORBIDS, sys.executable, "-c", ASK], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[False, False, False]\n"
    assert done.stderr == 'ERROR event=clock_unknown reason="Operation not permitted" errno=1\n'
