"""The mark of tests that run nginx."""

import shutil

import pytest

needs_nginx = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not on PATH (apt-get install nginx)")
