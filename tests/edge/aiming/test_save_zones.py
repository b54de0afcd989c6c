"""Staff zones are saved into the configuration file, and nothing else of it changes."""

from pathlib import Path

import pytest

from base.errors import SettingsError
from edge.aiming.save_zones import save_zones
from edge.settings import read
from tests.support.commands import CONFIG

ZONES = (((0.0, 0.25), (0.5, 0.25), (0.5, 1.0)),)
LINE = "staff_zones = [[[0.000, 0.250], [0.500, 0.250], [0.500, 1.000]]]"
SAMPLE = (Path(__file__).parents[3] / "edge/samples/edge.toml").read_text()
REST = 'site = "shop-1"\ndevice = "door"\n[capture]\nsource = "v4l2"\n'


@pytest.mark.parametrize(
    ("former", "changed"),
    [
        (CONFIG, CONFIG.replace("staff_zones = []", LINE)),
        (
            f"{REST}[admit]  # who\nstaff_zones = [ # old\n  [[0,0],[1,0],[1,1]], # till\n]  # note\n# end\n[tally]\n",
            f"{REST}[admit]  # who\n{LINE}  # note\n# end\n[tally]\n",
        ),
        (f"admit.staff_zones = []\r\n{REST}", f"admit.{LINE}\r\n{REST}"),
        (f"admit = {{ staff_zones = [] }} # x\n{REST}", f"admit = {{ {LINE} }} # x\n{REST}"),
    ],
    ids=["line", "several lines", "dotted key", "inline table"],
)
def test_only_the_zones_change(tmp_path, former, changed):
    """Comments, order and line ends stay; the daemon reads the zones; the former file is kept."""
    path = tmp_path / "edge.toml"
    path.write_bytes(former.encode())
    backup = save_zones(path, ZONES)
    assert path.read_bytes().decode() == changed
    assert read(path).admit.staff_zones == ZONES
    assert backup.read_bytes().decode() == former
    assert sorted(each.name for each in tmp_path.iterdir()) == ["edge.toml", "edge.toml.before-zones"]


def test_zones_are_added_to_the_sample(tmp_path):
    """The sample has the key in a comment only: a line is added, all others stay, and no zones are zones, too."""
    path = tmp_path / "edge.toml"
    path.write_text(SAMPLE)
    save_zones(path, ZONES)
    lines = path.read_text().splitlines()
    lines.remove(LINE)
    assert lines == SAMPLE.splitlines()
    save_zones(path, ())
    assert read(path).admit.staff_zones == ()


def test_mode_and_link_are_kept(tmp_path):
    """A file of mode 640 that is reached by a link keeps both."""
    (tmp_path / "real").mkdir()
    path = tmp_path / "real" / "edge.toml"
    path.write_text(CONFIG)
    path.chmod(0o640)
    link = tmp_path / "edge.toml"
    link.symlink_to(path)
    save_zones(link, ZONES)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.with_name("edge.toml.before-zones").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONFIG.replace('source = "v4l2"', 'source = "tape"'), "capture"),
        (CONFIG.replace("window_s = 2", "window_s = -2"), "tally.window_s"),
        ("site = [", "not TOML"),
        (f"admit = 3\n{REST}", "admit"),
        (None, "No such file"),
    ],
)
def test_a_configuration_that_is_not_valid_is_not_written(tmp_path, content, message):
    """The error names the file and what is wrong; the file stays as it is, and no copy is made."""
    path = tmp_path / "edge.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=message) as caught:
        save_zones(path, ZONES)
    assert str(path) in str(caught.value)
    assert [each.read_text() for each in tmp_path.iterdir()] == ([content] if content else [])


@pytest.mark.parametrize("zone", [((0.0, 0.0), (1.0, 1.0)), ((0.0, 0.0), (1.5, 0.0), (1.0, 1.0))])
def test_zones_that_the_daemon_refuses_are_not_written(tmp_path, zone):
    """Two corners, or one outside the image, leave the file as it is."""
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG)
    with pytest.raises(SettingsError, match=r"admit\.staff_zones"):
        save_zones(path, (zone,))
    assert path.read_text() == CONFIG


def test_a_copy_that_cannot_be_written(tmp_path):
    """Without the copy of the former file nothing is changed: here a folder has its name."""
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG)
    (tmp_path / "edge.toml.before-zones").mkdir()
    with pytest.raises(SettingsError, match=r"cannot be written: Is a directory; write the line by hand"):
        save_zones(path, ZONES)
    assert path.read_text() == CONFIG
