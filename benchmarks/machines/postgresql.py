"""A private PostgreSQL for benchmarks and tests: a new cluster that listens on a Unix socket, and forgets its data."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FAST = "-c fsync=off -c full_page_writes=off -c max_wal_size=256MB -c shared_buffers=32MB"
"""Options of a server whose data need not survive a crash of the machine."""
PORT = 5432
OWNER = "postgres"
"""The superuser."""
WITH_PASSWORD = "locked"  # noqa: S105 - the name of a user
"""The only user who needs a password on the socket. Tests make this user."""
UNPRIVILEGED = 65534
"""PostgreSQL refuses to run as root; nobody runs it then."""


def program(name: str) -> str | None:
    """Return the path of a program of PostgreSQL's server; None if it is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ["PATH"]]))


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster in a folder of its own."""

    folder: Path

    def url(self, database: str = "postgres", user: str = OWNER) -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start the server, and return when it answers."""
        options = f"{FAST} -c listen_addresses='' -c unix_socket_directories={self.folder} -p {PORT}"
        self._run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-o", options, "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: ``immediate`` as a crash does, ``fast`` as an operator does."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "stop")

    def initialise(self) -> None:
        """Make the files of the cluster. Users need no password on the socket."""
        self._run(
            "initdb", "-D", self.folder / "data", "-U", OWNER, "--auth=trust", "--no-sync", "--no-instructions",
            "--encoding=UTF8", "--locale=C",
        )  # fmt: skip
        rules = self.folder / "data" / "pg_hba.conf"
        rules.write_text(f"local all {WITH_PASSWORD} scram-sha-256\n{rules.read_text()}")

    def _run(self, name: str, *arguments: object) -> None:
        path = program(name)
        assert path is not None
        user = UNPRIVILEGED if os.getuid() == 0 else None
        done = subprocess.run(
            [path, *map(str, arguments)], user=user, group=user, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, check=False, cwd=self.folder, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@contextmanager
def postgresql() -> Iterator[Cluster]:
    """Run a new cluster. Its folder has a short name, because that of a Unix socket may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        folder = Path(name)
        if os.getuid() == 0:
            os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
        folder.chmod(0o755)
        cluster = Cluster(folder)
        cluster.initialise()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
