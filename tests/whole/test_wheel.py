"""The wheel and its installer: contents, extras, and systemd/install.sh."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import msgspec
import pytest

from benchmarks.machines.nspawn import jetson_requirements
from tests.support.commands import packages

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the checkout."""
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)], check=True)
    (made,) = out.glob("facetally-*.whl")
    return made


def test_contains_only_the_product(wheel):
    """The wheel has the product's packages, bundles, schemas and licence; no tests, training or demonstration."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(packages())
    for bundle in ("face-416x320", "expression"):
        assert {f"edge/models/{bundle}.json", f"edge/models/{bundle}.tflite"} <= set(names)
    page = ("aim.html", "aim.css", "aim.js", "zones.html", "zones.js")
    assert {f"edge/aiming/page/{name}" for name in page} <= set(names)
    assert "contract/schema/counts-2.json" in names
    assert any(name.endswith("LICENSE.md") for name in names)


@pytest.mark.parametrize(
    ("extra", "command", "absent"),
    [
        ("edge", "facetally-edge", ("pandas", "dash", "tensorflow")),
        ("collector", "facetally-collector", ("cv2",)),
        ("fleet", "facetally-fleet", ("cv2", "pandas")),
    ],
)
def test_each_extra_installs_and_runs(wheel, tmp_path, extra, command, absent):
    """Each extra installs into a new environment, its command prints --help, and no heavy package comes with it."""
    venv.create(tmp_path / "env", with_pip=True)
    binaries = tmp_path / "env" / "bin"
    subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", f"{wheel}[{extra}]"], check=True)
    helped = subprocess.run(
        [binaries / command, "--help"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert helped.stdout.startswith(f"usage: {command}")
    for module in absent:
        found = subprocess.run([binaries / "python", "-c", f"import {module}"], capture_output=True, check=False)
        assert found.returncode != 0, f"{extra} brings {module}"
    if extra == "edge":
        for program in ("facetally-aim", "facetally-view"):
            subprocess.run([binaries / program, "--help"], env=clean_environment(), capture_output=True, check=True)
        loads = (
            "from edge import build; from edge.vision.bundle import DEFAULT_DETECTOR;"
            " build.detector_bundle(); build.check_bundle('auto', DEFAULT_DETECTOR); build.classifier_bundle()"
        )
        subprocess.run([binaries / "python", "-c", loads], cwd=tmp_path, env=clean_environment(), check=True)


def clean_environment():
    """Return the environment variables without PYTHONPATH, so that only installed packages are imported."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def install(folder, *arguments):
    """Run systemd/install.sh with everything under a folder; it starts nothing."""
    script = ROOT / "systemd" / "install.sh"
    environment = {**clean_environment(), "ROOT": str(folder), "PYTHON": sys.executable}
    return subprocess.run([script, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False)


def test_the_installer_can_be_run_again_and_undone(wheel, tmp_path):
    """It installs units, configuration and a working daemon; `undo` removes them, but keeps an edited configuration."""
    config = tmp_path / "etc/facetally/edge.toml"
    assert install(tmp_path, "edge", wheel).returncode == 0
    assert config.read_text() == (ROOT / "edge/samples/edge.toml").read_text()
    config.write_text("# mine\n")
    config.chmod(0o644)  # as earlier versions installed it
    again = install(tmp_path, "edge", wheel)
    assert again.returncode == 0, again.stderr
    assert config.read_text() == "# mine\n"
    assert config.stat().st_mode & 0o777 == 0o640, "it may hold a camera's password"
    daemon = tmp_path / "opt/facetally/bin/facetally-edge"
    assert subprocess.run([daemon, "--help"], capture_output=True, check=False).returncode == 0
    units = tmp_path / "etc/systemd/system"
    assert (units / "facetally-edge.service").is_file()
    assert (units / "facetally-edge@.service").read_text() == (units / "facetally-edge.service").read_text()
    assert (units / "facetally-edge@.service.d/instance.conf").is_file()
    assert "Storage=volatile" in (tmp_path / "etc/systemd/journald.conf.d/facetally.conf").read_text()
    assert install(tmp_path, "undo").returncode == 0
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["etc/facetally/edge.toml"]


def test_the_installer_repairs_the_environment_after_a_system_upgrade(wheel, tmp_path):
    """If the system's Python has changed, the environment lacks its packages, and is created again."""
    environment = tmp_path / "opt/facetally/slots/installed"
    assert install(tmp_path, "edge", wheel).returncode == 0
    (packages,) = environment.glob("lib/python3.*")
    packages.rename(packages.with_name("python3.9"))
    done = install(tmp_path, "edge", wheel)
    assert done.returncode == 0, done.stderr
    assert list(environment.glob("lib/python3.*")) == [packages]
    daemon = environment / "bin/facetally-edge"
    assert subprocess.run([daemon, "--help"], capture_output=True, check=False).returncode == 0


def test_another_wheel_of_the_same_version_is_installed(wheel, tmp_path):
    """The version does not change with each build; the given wheel is installed all the same."""
    other = tmp_path / "other" / wheel.name
    other.parent.mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"NEWER = True\n" if name == "edge/__init__.py" else b""))
    command = [tmp_path / "opt/facetally/bin/python", "-c", "import edge; print(hasattr(edge, 'NEWER'))"]
    for given, newer in ((wheel, "False\n"), (other, "True\n"), (wheel, "False\n")):
        done = install(tmp_path, "edge", given)
        assert done.returncode == 0, done.stderr
        done = subprocess.run(
            command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=True
        )
        assert done.stdout == newer


def test_a_jetson_gets_all_requirements_except_opencv():
    """The installer's list has the requirements of daemon and updater, with NumPy below 2 for JetPack's OpenCV."""
    project = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())["project"]
    extras = project["optional-dependencies"]
    required = project["dependencies"] + extras["edge"] + extras["update"]
    expected = [each.replace("numpy>=1.26", "numpy>=1.26,<2") for each in required if not each.startswith("opencv")]
    assert sorted(jetson_requirements()) == sorted(expected)


@pytest.mark.parametrize("arguments", [(), ("edge",), ("edge", "no-such.whl"), ("everything",)])
def test_the_installer_prints_its_usage(tmp_path, arguments):
    """Wrong arguments give exit code 2 and the usage; nothing is changed."""
    done = install(tmp_path, *arguments)
    assert done.returncode == 2
    assert "usage: install.sh" in done.stderr
    assert not list(tmp_path.iterdir())
