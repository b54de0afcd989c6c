"""What is installed from the wheel, per extra, into an environment that has nothing else."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import msgspec
import pytest

from benchmarks.machines.nspawn import jetson_requirements

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)], check=True)
    (made,) = out.glob("facetally-*.whl")
    return made


def test_holds_the_product_and_nothing_else(wheel):
    """Three packages, the shipped bundles, the schemas and the licence; no tests, training or demonstration."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"contract", "edge", "collector"}
    for bundle in ("face-416x320", "expression"):
        assert {f"edge/models/{bundle}.json", f"edge/models/{bundle}.tflite"} <= set(names)
    assert "contract/schema/counts-2.json" in names
    assert any(name.endswith("LICENSE.md") for name in names)


@pytest.mark.parametrize(
    ("extra", "command", "absent"),
    [("edge", "facetally-edge", ("pandas", "dash", "tensorflow")), ("collector", "facetally-collector", ("cv2",))],
)
def test_extra_installs_and_answers(wheel, tmp_path, extra, command, absent):
    """Each extra installs into a fresh environment, answers --help, and brings nothing that it does not need."""
    venv.create(tmp_path / "env", with_pip=True)
    binaries = tmp_path / "env" / "bin"
    subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", f"{wheel}[{extra}]"], check=True)
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    helped = subprocess.run(
        [binaries / command, "--help"], cwd=tmp_path, env=clean, capture_output=True, text=True, check=True
    )
    assert helped.stdout.startswith(f"usage: {command}")
    for module in absent:
        found = subprocess.run([binaries / "python", "-c", f"import {module}"], capture_output=True, check=False)
        assert found.returncode != 0, f"{extra} brings {module}"
    if extra == "edge":
        loads = "from edge import assemble; assemble.detector_bundle(); assemble.classifier_bundle()"
        subprocess.run([binaries / "python", "-c", loads], cwd=tmp_path, env=clean, check=True)


def install(folder, *arguments):
    """systemd/install.sh with everything under a folder; nothing is started."""
    script = ROOT / "systemd" / "install.sh"
    environment = {**os.environ, "ROOT": str(folder), "PYTHON": sys.executable}
    environment.pop("PYTHONPATH", None)
    return subprocess.run([script, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False)


def test_the_installer_can_be_run_again_and_undone(wheel, tmp_path):
    """Units, configuration and a daemon that answers; an edited configuration is kept, by undo too."""
    config = tmp_path / "etc/facetally/edge.toml"
    assert install(tmp_path, "edge", wheel).returncode == 0
    assert config.read_text() == (ROOT / "systemd/edge.toml").read_text()
    config.write_text("# mine\n")
    config.chmod(0o644)  # as it was installed before
    again = install(tmp_path, "edge", wheel)
    assert again.returncode == 0, again.stderr
    assert config.read_text() == "# mine\n"
    assert config.stat().st_mode & 0o777 == 0o640, "it may hold a camera's password"
    daemon = tmp_path / "opt/facetally/bin/facetally-edge"
    assert subprocess.run([daemon, "--help"], capture_output=True, check=False).returncode == 0
    assert (tmp_path / "etc/systemd/system/facetally-edge.service").is_file()
    assert "Storage=volatile" in (tmp_path / "etc/systemd/journald.conf.d/facetally.conf").read_text()
    assert install(tmp_path, "undo").returncode == 0
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["etc/facetally/edge.toml"]


def test_the_installer_mends_what_an_upgrade_of_the_system_broke(wheel, tmp_path):
    """The environment's Python is a link to the system's; packages that another Python had are not seen by it."""
    environment = tmp_path / "opt/facetally"
    assert install(tmp_path, "edge", wheel).returncode == 0
    (packages,) = environment.glob("lib/python3.*")
    packages.rename(packages.with_name("python3.9"))
    done = install(tmp_path, "edge", wheel)
    assert done.returncode == 0, done.stderr
    assert list(environment.glob("lib/python3.*")) == [packages]
    daemon = environment / "bin/facetally-edge"
    assert subprocess.run([daemon, "--help"], capture_output=True, check=False).returncode == 0


def test_another_wheel_of_the_same_version_takes_the_place_of_the_first(wheel, tmp_path):
    """The version does not change with each build: what is installed is the wheel given, not one from before."""
    other = tmp_path / "other" / wheel.name
    other.parent.mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"NEWER = True\n" if name == "edge/__init__.py" else b""))
    command = [tmp_path / "opt/facetally/bin/python", "-c", "import edge; print(hasattr(edge, 'NEWER'))"]
    for given, newer in ((wheel, "False\n"), (other, "True\n"), (wheel, "False\n")):
        done = install(tmp_path, "edge", given)
        assert done.returncode == 0, done.stderr
        assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == newer


def test_a_jetson_gets_all_that_the_wheel_asks_for_but_opencv():
    """The installer's own list is that of pyproject.toml: nothing left out, no bound dropped. NumPy stays below 2, for
    which JetPack's OpenCV is built."""
    project = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["edge"]
    wanted = [each.replace("numpy>=1.26", "numpy>=1.26,<2") for each in asked if not each.startswith("opencv")]
    assert sorted(jetson_requirements()) == sorted(wanted)


@pytest.mark.parametrize("arguments", [(), ("edge",), ("edge", "no-such.whl"), ("everything",)])
def test_the_installer_says_what_it_wants(tmp_path, arguments):
    """Exit code 2 and its usage; nothing is touched."""
    done = install(tmp_path, *arguments)
    assert done.returncode == 2
    assert "usage: install.sh" in done.stderr
    assert not list(tmp_path.iterdir())
