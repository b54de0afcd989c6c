"""The program is installed without its extra."""

import subprocess
import sys


def test_a_missing_package_is_named_with_the_extra(tmp_path):
    """In a Python without cryptography, ``init`` says what to install and makes nothing."""
    program = (
        "import sys; sys.modules['cryptography'] = None; from fleet.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    options = ["init", str(tmp_path / "shops"), "--broker", "broker.example", "--repository", "https://r.example:8443"]
    done = subprocess.run([sys.executable, "-c", program, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "facetally-fleet: cryptography is missing: pip install 'facetally[fleet]'\n"
    assert not (tmp_path / "shops").exists()
