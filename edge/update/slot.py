"""Install a release into a slot of its own, without a network, and test it before the daemon may run it."""

import contextlib
import errno
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from base.durable_file import make_folder, replace_file, sync_folder
from contract.release import INSTANCES, BundleFiles, DeviceManifest, File, ReleaseManifest, write_manifest
from edge.update.errors import InstallFailed, NoRoom, ReleaseBad
from edge.update.layout import COMPLETE, Layout, make_parents, remove_tree

CONFIG_GROUP = "video"
"""Group of the daemon: a configuration may hold the password of a camera."""
CONFIG_MODE = 0o640
TEST_LIMIT_S, INSTALL_LIMIT_S = 300.0, 1800.0
FULL_BYTES = 5_000_000
"""An installation that fails with less free space than this has failed for it."""
JETSON = Path("/etc/nv_tegra_release")
MAX_OUTPUT = 200

Fetch = Callable[[File], Path]
"""Returns the path of a downloaded and verified file."""


def board() -> tuple[str, str, str]:
    """Return Python, processor and kind of board, by which a release chooses its wheels."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return python, platform.machine(), "jetson" if JETSON.exists() else "generic"


def make_slot(layout: Layout, release: ReleaseManifest, fetch: Fetch) -> Path:
    """Return the slot of a release; it is installed unless it is there as a whole.

    Raise NoRoom, InstallFailed, or ReleaseError if there are no wheels for this board.
    """
    slot, stamp = layout.slot(release.release), hashlib.sha256(write_manifest(release)).hexdigest()
    complete = slot / COMPLETE
    if complete.is_file():
        if complete.read_text() == stamp:
            return slot
        raise ReleaseBad(f"release {release.release}: is installed with another content; a release must not change")
    wheels = release.wheels_for(*board())
    _check_room(layout.root, release, wheels)
    make_parents(layout.root)
    if slot.exists():
        remove_tree(slot)
    try:
        _install(slot, [fetch(file) for file in wheels], release.bundles, fetch)
        os.sync()
        replace_file(complete, stamp.encode())
        sync_folder(slot.parent)
    except (OSError, InstallFailed) as error:
        is_full = shutil.disk_usage(layout.root).free < FULL_BYTES or getattr(error, "errno", None) == errno.ENOSPC
        if slot.exists():
            remove_tree(slot)
        if is_full:
            raise NoRoom(f"release {release.release}: {os.strerror(errno.ENOSPC)}") from error
        raise
    return slot


def _check_room(root: Path, release: ReleaseManifest, wheels: Sequence[File]) -> None:
    """Raise NoRoom unless installation and downloads fit."""
    bundles = sum(part.length for each in release.bundles for part in (each.card, each.model))
    needed = release.minimum_disk_mb * 1_000_000 + sum(each.length for each in wheels) + bundles
    free = shutil.disk_usage(root).free
    if free < needed:
        raise NoRoom(f"release {release.release}: needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free")


def _install(slot: Path, wheels: Sequence[Path], bundles: Sequence[BundleFiles], fetch: Fetch) -> None:
    """Create the environment. --system-site-packages: picamera2 and libcamera are installed by apt."""
    _run([sys.executable, "-m", "venv", "--system-site-packages", str(slot)])
    lines = "".join(f"{path.as_uri()} --hash=sha256:{_sha256(path)}\n" for path in map(_named, wheels))
    (slot / "requirements.txt").write_text(lines)
    options = ["--no-index", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir"]
    pip = [str(slot / "bin/python"), "-m", "pip", "--isolated", "--quiet", "--disable-pip-version-check", "install"]
    _run([*pip, *options, "--force-reinstall", "-r", str(slot / "requirements.txt")])
    folder = slot / "bundles"
    folder.mkdir()
    for bundle in bundles:
        for file, suffix in ((bundle.card, "json"), (bundle.model, "tflite")):
            shutil.copyfile(fetch(file), folder / f"{bundle.name}.{suffix}")


def _named(path: Path) -> Path:
    """Return a downloaded wheel under its own name, which pip needs; tuf quotes the path into one name."""
    wheel = path.parent / "wheels" / path.name.rpartition("%2F")[2]
    wheel.parent.mkdir(exist_ok=True)
    wheel.unlink(missing_ok=True)
    wheel.hardlink_to(path)
    return wheel


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def make_setup(layout: Layout, manifest: DeviceManifest, fetch: Fetch) -> str:
    """Make the setup that a manifest names, and return its name. Its slot must be there."""
    name = str(manifest.number)
    folder, draft = layout.setup(name), layout.setup(f".{name}")
    if layout.current_setup() == name:
        return name
    for old in (draft, folder):
        if old.exists():
            remove_tree(old)
    make_folder(draft)
    slot = f"../../slots/{manifest.release}"
    (draft / "program").symlink_to(slot)
    (draft / "bundles").symlink_to(f"{slot}/bundles")
    make_folder(draft / INSTANCES)
    further = {draft / INSTANCES / f"{name}.toml": file for name, file in manifest.instances.items()}
    for config, file in {draft / "edge.toml": manifest.configuration, **further}.items():
        replace_file(config, fetch(file).read_bytes(), mode=CONFIG_MODE)
        _give_to_daemon(config)
    certificate = draft / "device.pem"
    if manifest.certificate is not None:
        replace_file(certificate, fetch(manifest.certificate).read_bytes())
    else:
        _keep_certificate(layout.current / "device.pem", certificate)
    sync_folder(draft)
    draft.rename(folder)
    sync_folder(folder.parent)
    return name


def _keep_certificate(present: Path, copy: Path) -> None:
    """Take over the certificate of the present setup: a link to the installed one, or a renewed one."""
    if present.is_symlink():
        copy.symlink_to(present.readlink())
    elif present.exists():
        replace_file(copy, present.read_bytes())


def _give_to_daemon(path: Path) -> None:
    """Let the group of the daemon read a file, if there is such a group and this user belongs to it."""
    with contextlib.suppress(LookupError, PermissionError):
        shutil.chown(path, group=CONFIG_GROUP)


def check_setup(layout: Layout, setup: str) -> None:
    """Run the release's own test on each of its configurations. Raise ReleaseBad with its message if it fails.

    It imports all that the daemon imports, and replays the golden samples of the bundles that the daemon will run.
    """
    folder = layout.setup(setup)
    python = layout.slot(layout.release_of(setup) or "") / "bin/python"
    for config in (folder / "edge.toml", *sorted((folder / INSTANCES).glob("*.toml"))):
        test = [str(python), "-I", "-m", "edge.update.self_test", str(config), str(layout.root)]
        try:
            _run(test, TEST_LIMIT_S)
        except InstallFailed as error:
            raise ReleaseBad(f"its own test fails: {error}") from error


def _run(command: Sequence[str], limit_s: float = INSTALL_LIMIT_S) -> None:
    """Run a program; raise InstallFailed with the last line that it prints if it fails."""
    try:
        done = subprocess.run(
            command, env=_environment(), capture_output=True, text=True, errors="replace", timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InstallFailed(f"{Path(command[0]).name}: must end within {limit_s:g} s") from error
    if done.returncode:
        printed = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise InstallFailed(printed[-1][-MAX_OUTPUT:])


def _environment() -> Mapping[str, str]:
    """Variables of the programs that are run: none that change what Python imports or pip does."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_"))}
