"""A real nginx with a site of `systemd/proxy/` on a loopback port."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.mosquitto import SEARCH_PATH, wait_for

PROXY = Path(__file__).parents[2] / "systemd" / "proxy"


@contextmanager
def nginx(folder: Path, site: str, port: int, replaced: dict[str, str]) -> Iterator[None]:
    """Serve a file of `systemd/proxy/` on a loopback port, with other paths in it; stop at the end.

    ``replaced`` maps texts of the file to ours. Each must occur.
    """
    text = (PROXY / site).read_text()
    for theirs, ours in replaced.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    user = "user root; " if os.getuid() == 0 else ""  # otherwise its workers cannot read the folder
    around = f"{user}daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
    kept = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / "nginx.conf"
    config.write_text(f"{around}http {{ access_log off; {kept}\n{text}}}\n")
    program = shutil.which("nginx", path=SEARCH_PATH) or "nginx"
    with subprocess.Popen([program, "-c", config]) as process:
        try:
            wait_for(port)
            yield
        finally:
            process.terminate()
