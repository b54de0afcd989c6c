"""The table of devices: what is read, and the sentence for each wrong row, with line and column."""

import pytest

from base.errors import FacetallyError
from fleet.enrolment.boards import KINDS, Kind, kind_of
from fleet.enrolment.device_table import capture_of, read_table

HEADER = "site,device,group,zones,camera,board\n"
GOOD = "shop-1,door,north,none,v4l2:0,raspberry-pi\n"


def write(folder, text, name="devices.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def errors(folder, text):
    """The error of a table, without the folder."""
    with pytest.raises(FacetallyError) as caught:
        read_table(write(folder, text))
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_a_table_is_read_with_defaults_and_any_order_of_columns(tmp_path):
    """Columns may be in any order, a byte order mark is skipped, and absent columns have their defaults."""
    write(tmp_path, "staff_zones = [[[0, 0.5], [1, 0.5], [1, 1]]]\n", "till.toml")
    rows = read_table(
        write(tmp_path, "\ufeffzones, device ,site,group\nnone,door,shop-1,north\ntill.toml,till,shop-1,n\n")
    )
    assert [(row.line, row.identity, row.board, row.camera) for row in rows] == [
        (2, "shop-1/door", "raspberry-pi", ""),
        (3, "shop-1/till", "raspberry-pi", ""),
    ]
    assert [row.zones for row in rows] == [
        "staff_zones = []\n",
        "staff_zones = [[[0, 0.5], [1, 0.5], [1, 1]]]\n",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("site,device\nshop-1,door\n", "line 1: missing column 'group'; required are site, device, group, zones"),
        (
            "site,device,group,zones,colour\n",
            "line 1: columns must be each once of site, device, group, zones, camera, board, host, has 'colour'",
        ),
        (HEADER, "must have at least one device, has none"),
        (HEADER + "shop-1,door,north,none,v4l2:0,raspberry-pi,more\n", "line 2: must have 6 columns, has more"),
        (HEADER + GOOD + GOOD, "line 3, column 'device': shop-1/door is already in line 2"),
        (
            HEADER + "shop 1,door,north,none,,\n",
            "line 2, column 'site': must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit,"
            " is 'shop 1'",
        ),
        (
            HEADER + f"{'s' * 40},{'d' * 40},north,none,,\n",
            "line 2, column 'device': site and device together must have at most 63 characters, have 80",
        ),
        (
            HEADER + "shop-1,door,north,,,\n",
            "line 2, column 'zones': must be a file with the line of `facetally-edge zones`, 'none' or 'all', is empty",
        ),
        (
            HEADER + "shop-1,door,north,no.toml,,\n",
            "line 2, column 'zones': no.toml: No such file or directory",
        ),
        (
            HEADER + "shop-1,door,north,none,webcam,\n",
            "line 2, column 'camera': must be SOURCE:VALUE with a source of v4l2, picamera2, gstreamer, file, or a URL"
            " of rtsp, rtsps, http, https, is 'webcam'",
        ),
        (
            HEADER + "shop-1,door,north,none,,abacus\n",
            "line 2, column 'board': must be one of raspberry-pi, raspberry-pi-bookworm, jetpack-6, jetpack-7, or"
            " PYTHON/MACHINE such as 3.13/x86_64 (aarch64 or x86_64), is 'abacus'",
        ),
        (HEADER + 'shop-1,door,north,none,"v4l2:0,\n', "after line 1: not CSV: unexpected end of data"),
    ],
)
def test_a_wrong_table_is_refused_with_line_and_column(tmp_path, text, expected):
    """Each error names file, line and column, what is allowed, and what was found."""
    assert errors(tmp_path, text) == [f"devices.csv: {expected}"]


def test_all_wrong_rows_are_named_at_once(tmp_path):
    """An operator with three hundred rows sees all errors, not the first one."""
    told = errors(tmp_path, HEADER + "a b,door,north,,x,y\n" + GOOD + "shop-1,till,,none,,\n")
    assert [each.partition(":")[2].partition(":")[0] for each in told] == [
        " line 2, column 'site'",
        " line 2, column 'board'",
        " line 2, column 'camera'",
        " line 2, column 'zones'",
        " line 4, column 'group'",
    ]


def test_a_password_in_a_url_is_not_shown(tmp_path):
    """Error messages hide what looks like a secret."""
    (told,) = errors(tmp_path, HEADER + "shop-1,door,north,none,ftp://admin:secret@camera/,\n")
    assert "secret" not in told


def test_cameras_and_boards():
    """Every form of a camera and of a board."""
    assert capture_of("picamera2") == {"source": "picamera2"}
    assert capture_of("picamera2:1") == {"source": "picamera2", "camera": 1}
    assert capture_of("v4l2:/dev/video2") == {"source": "v4l2", "device": "/dev/video2"}
    assert capture_of("rtsps://camera/1") == {"source": "rtsp", "url": "rtsps://camera/1"}
    assert kind_of("3.11/x86_64") == Kind("3.11", "x86_64")
    assert all(kind_of(str(kind)) == kind for kind in KINDS.values())
