"""A real nginx for tests, with a site of `systemd/proxy/` on a loopback port."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.brokers import listens, wait_until

PROXY = Path(__file__).parents[2] / "systemd" / "proxy"
needs_nginx = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not on PATH (apt-get install nginx)")


@contextmanager
def nginx(folder: Path, site: str, port: int, replaced: dict[str, str]) -> Iterator[None]:
    """Serve a file of `systemd/proxy/` on a loopback port, with other paths in it; stop at the end.

    ``replaced`` maps texts of the file to those of the test. Each must occur.
    """
    text = (PROXY / site).read_text()
    for theirs, ours in replaced.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    user = "user root; " if os.getuid() == 0 else ""  # otherwise its workers cannot read the test folder
    around = f"{user}daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
    kept = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / "nginx.conf"
    config.write_text(f"{around}http {{ access_log off; {kept}\n{text}}}\n")
    with subprocess.Popen(["nginx", "-c", config]) as process:
        try:
            wait_until(lambda: listens(port), "nginx listens")
            yield
        finally:
            process.terminate()
