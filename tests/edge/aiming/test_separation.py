"""The daemon reaches neither the programs that show images nor an image writer."""

import ast
import re
from pathlib import Path

import pytest

from edge.aiming import aim
from edge.delivery.spool_lock import locked
from tests.support.commands import CONFIG

EDGE = Path(__file__).parents[3] / "edge"
WRITERS = {
    "imwrite",
    "imwritemulti",
    "imwriteanimation",
    "imencode",
    "imencodemulti",
    "imencodeanimation",
    "VideoWriter",
} | {"PIL", "imageio", "matplotlib"}
"""What writes or encodes images: functions of OpenCV, and other libraries."""
SHOWN = {"aiming/application.py": {"imencode"}, "aiming/view.py": {"imwrite"}}
"""The programs for installers: `facetally-aim` encodes in memory, `facetally-view` writes the image it is asked for."""


def names(path):
    """Names, attributes and imported packages of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Attribute():
                yield node.attr
            case ast.Name():
                yield node.id
            case ast.ImportFrom(module=str(module)):
                yield module.partition(".")[0]
            case ast.Import():
                yield from (each.name.partition(".")[0] for each in node.names)


def test_no_module_of_the_daemon_writes_or_encodes_images():
    """Only the two programs for installers use OpenCV's writers, each its own; no module uses another library's."""
    used = {str(path.relative_to(EDGE)): WRITERS.intersection(names(path)) for path in EDGE.rglob("*.py")}
    assert {path: found for path, found in used.items() if found} == SHOWN


def test_no_module_of_the_daemon_names_the_programs():
    """No string of the daemon names a program for installers, so that it cannot start one."""
    for path in EDGE.rglob("*.py"):
        if path.is_relative_to(EDGE / "aiming"):
            continue
        text = path.read_text()
        assert "edge.aiming" not in text, path
        assert "facetally-aim" not in text, path
        assert "facetally-view" not in text, path


def test_it_refuses_while_the_daemon_runs(tmp_path, capsys):
    """While a daemon holds the spool, which it does as long as it may use the camera, the program names the command."""
    for name, unit in (("edge.toml", "facetally-edge"), ("door.toml", "facetally-edge@door")):
        (tmp_path / name).write_text(f'{CONFIG}[spool]\npath = "{tmp_path}/spool.sqlite"\n')
        with locked(tmp_path / "spool.sqlite"):
            assert aim.main([str(tmp_path / name)]) == 2
        assert f"stop it first: sudo systemctl stop {unit}, and" in capsys.readouterr().err


def test_the_guide_names_options_that_exist(capsys):
    """Each command line and option of the guide is one that the program takes."""
    guide = (EDGE.parent / "docs/installer.md").read_text()
    options = re.findall(r"^\| `(--[^`]+)` \|", guide, re.M)
    assert len(options) == 5
    with pytest.raises(SystemExit, match="0"):
        aim.main(["edge.toml", *" ".join(options).split(), "--help"])
    shown = capsys.readouterr().out
    assert all(option.split()[0] in shown for option in options)
    assert "/opt/facetally/bin/facetally-aim /etc/facetally/edge.toml\n" in guide


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--minutes", "0"], "must be a number from 0.01 to 240, is 0"),
        (["--port", "70000"], "must be a whole number from 0 to 65535, is 70000"),
        (["--allow", "10.0.0.1/8"], "must be an IPv4 network such as 100.64.0.0/10, is 10.0.0.1/8"),
        (["--field-of-view", "wide"], "must be a number from 10 to 170, is wide"),
    ],
)
def test_wrong_options_are_explained(capsys, options, message):
    """Exit code 2, with what is allowed."""
    with pytest.raises(SystemExit, match="2"):
        aim.main(["edge.toml", *options])
    assert message in capsys.readouterr().err


def test_a_clip_that_cannot_be_played_ends_the_program(tmp_path, capsys):
    """A missing clip gives exit code 2 and its path; the port is given back."""
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG.replace('"v4l2"', '"file"\npath = "nowhere.mp4"'))
    assert aim.main([str(config), "--port", "0"]) == 2
    assert "nowhere.mp4: no such file" in capsys.readouterr().err
