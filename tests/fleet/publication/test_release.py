"""Releases: locked wheels, gated bundles, checked configurations, a bill of materials; and what is refused."""

import json
import re
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from contract.release import BUNDLES
from fleet.__main__ import main
from tests.support.fleets import BOARD, fleet, give, light_wheel, made, table

MODELS = Path(__file__).parents[3] / "edge" / "models"
ROWS = (f"shop-1,door,north,none,v4l2:0,{BOARD}", f"shop-2,door,south,none,v4l2:0,{BOARD}")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A fleet of two devices with release 1.0, and the wheel of it."""
    folder = tmp_path_factory.mktemp("released")
    of, wheel = made(folder, *ROWS), light_wheel(folder)
    shutil.copy(MODELS / "expression.json", folder / "mood.json")
    shutil.copy(MODELS / "expression.tflite", folder / "mood.tflite")
    fleet("release", "1.0", "--wheel", wheel, "--bundle", folder / "mood.json", folder=of)
    return of, wheel


@pytest.fixture
def of(released, tmp_path):
    """A copy of that fleet."""
    return shutil.copytree(released[0], tmp_path / "fleet")


def target(of, path):
    """The newest content of a target."""
    folder, _, name = path.rpartition("/")
    (found,) = (of / "repository/targets" / folder).glob(f"*.{name}")
    return json.loads(found.read_text())


def refused(capsys, of, *arguments):
    """The error lines of `release` with exit code 2; nothing is published."""
    before = (of / "repository/metadata/timestamp.json").read_bytes()
    capsys.readouterr()
    assert main(["release", *map(str, arguments), "--fleet", str(of)]) == 2
    assert (of / "repository/metadata/timestamp.json").read_bytes() == before
    return capsys.readouterr().err.replace("facetally-fleet: ", "").splitlines()


def test_a_release_has_all_wheels_of_each_kind_of_device(of):
    """Every requirement is met without an index; the manifest says what the device needs."""
    manifest = target(of, "releases/1.0/release.json")
    (wheels,) = manifest["wheel_sets"]
    assert (wheels["python"], wheels["machine"], wheels["board"]) == ("3.11", "x86_64", "generic")
    names = [each["path"].removeprefix("wheels/").partition("-")[0] for each in wheels["wheels"]]
    assert names == ["facetally", "msgspec", "paho_mqtt"]
    assert manifest["minimum_disk_mb"] >= 2
    assert [each["name"] for each in manifest["bundles"]] == ["mood"]


def test_the_lock_decides_versions_and_hashes(of, released, capsys):
    """A second release has the same wheels; a wheel with another hash than the lock is not taken."""
    lock = of / "locks/3.11-x86_64.txt"
    before = lock.read_text()
    fleet("release", "1.1", "--wheel", released[1], folder=of)
    assert lock.read_text() == before
    assert (
        target(of, "releases/1.1/release.json")["wheel_sets"] == target(of, "releases/1.0/release.json")["wheel_sets"]
    )
    lock.write_text(re.sub(r"(msgspec.*sha256:)[0-9a-f]{8}", r"\g<1>00000000", before))
    capsys.readouterr()
    assert main(["release", "1.2", "--wheel", str(released[1]), "--fleet", str(of)]) == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in capsys.readouterr().err
    lock.write_text("".join(line for line in before.splitlines(True) if "paho" not in line))
    (told,) = refused(capsys, of, "1.2", "--wheel", released[1])
    assert told == f"{lock}: facetally needs paho-mqtt<3,>=2.1, has none; --upgrade chooses versions anew"


def test_the_bill_of_materials_names_every_file(of):
    """CycloneDX 1.6, valid by its schema: each wheel and model with version, hash and licence."""
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.exception import MissingOptionalDependencyException
    from cyclonedx.schema import SchemaVersion

    bill = target(of, "sbom/1.0.json")
    components = {each["name"]: each for each in bill["components"]}
    assert set(components) == {"facetally", "msgspec", "paho-mqtt", "mood"}
    assert components["facetally"]["licenses"] == [{"license": {"name": "Apache-2.0"}}]
    assert components["msgspec"]["purl"].startswith("pkg:pypi/msgspec@")
    assert components["mood"]["type"] == "machine-learning-model"
    assert all(each["hashes"][0]["alg"] == "SHA-256" for each in components.values())
    try:
        assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    except MissingOptionalDependencyException as error:
        pytest.skip(str(error))


def test_configurations_are_released_without_software(of, capsys):
    """Zones of one device change: its configuration is signed, its software stays what it is."""
    give(of, "1.0")
    (of.parent / "zone.toml").write_text("staff_zones = [[[0, 0], [1, 0], [1, 1]]]\n")
    fleet("enrol", table(of.parent, ROWS[0].replace("none", "zone.toml"), ROWS[1]), folder=of)
    assert "changed, to be released and rolled out: shop-1/door" in capsys.readouterr().out
    fleet("release", "zones", "--devices", "shop-1/door", folder=of)
    record = json.loads((of / "releases/zones.json").read_text())
    assert (record["software"], list(record["configurations"])) == (None, ["shop-1/door"])
    path = record["configurations"]["shop-1/door"]["path"]
    (text,) = (of / "repository/targets" / path).parent.glob(f"*.{Path(path).name}")
    assert msgspec.toml.decode(text.read_bytes())["admit"]["staff_zones"] == [[[0, 0], [1, 0], [1, 1]]]


def test_what_is_refused(of, released, tmp_path, capsys):
    """Each with the reason; nothing is published, and no record is left."""
    wheel, folder = released[1], of / "configuration/groups"
    for arguments, expected in (
        (("1.0", "--wheel", wheel), "release 1.0: must be a new name, exists; a release never changes"),
        (("a/b", "--wheel", wheel), "release 'a/b' must be 1 to 64 letters"),
        (("2.0", "--wheel", tmp_path / "no.whl"), "must be a wheel"),
        (("2.0", "--wheel", MODELS / "expression.json"), "must be a wheel"),
        (("2.0",), "shop-1/door: has no software yet; name a release by --software, or a --wheel"),
        (("2.0", "--software", "9"), "release '9': must be one of 1.0"),
        (("2.0", "--wheel", wheel, "--software", "1.0"), "must not be combined"),
        (("2.0", "--bundle", "x.json"), "--bundle needs --wheel"),
        (("2.0", "--wheel", wheel, "--groups", "west"), "--groups: must be of north, south, has 'west'"),
        (("2.0", "--wheel", wheel, "--devices", "x/y"), "x/y: must be a device of inventory.csv"),
    ):
        assert expected in refused(capsys, of, *arguments)[0]
    (folder / "north.toml").write_text("[privacy]\nk = 0\n")
    assert refused(capsys, of, "2.0", "--wheel", wheel) == [
        "configuration of shop-1/door: key 'privacy.k': must be >= 1, is 0"
    ]
    for table_and_key in ("[classify]\nbundle", "[detect]\ncheck"):
        (folder / "north.toml").write_text(f'{table_and_key} = "{BUNDLES}/other.json"\n')
        assert refused(capsys, of, "2.0", "--software", "1.0") == [
            f"configuration of shop-1/door: {BUNDLES}/other.json: its software has no bundle other"
        ]
    (folder / "north.toml").write_text(f'[classify]\nbundle = "{BUNDLES}/mood.json"\n')
    fleet("release", "2.0", "--software", "1.0", folder=of)


def test_a_bundle_that_the_gate_would_refuse_is_not_released(of, released, tmp_path, capsys):
    """Its card's figures, its notes and its hash are checked."""
    card = json.loads((MODELS / "expression.json").read_text())
    path = tmp_path / "mood.json"
    shutil.copy(MODELS / "expression.tflite", tmp_path / "mood.tflite")

    def told(**changes):
        path.write_text(json.dumps(card | changes))
        return refused(capsys, of, "2.0", "--wheel", released[1], "--bundle", path)

    worse = card["figures"] | {"fer2013.accuracy.float": 0.70}
    assert told(figures=worse) == [
        f"{path}: figures: fer2013.accuracy must fall by at most 0.005, falls from 0.7 to 0.6013"
    ]
    assert told(figures={}) == [
        f"{path}: figures: must have the float and int8 values of ap, auc, accuracy, macro_recall, have none"
    ]
    assert "must not say 'Forced past the gate:'" in told(notes="A. Forced past the gate: it is bad.")[0]
    assert "must have the SHA-256 of its card" in told(sha256="0" * 64)[0]
    (tmp_path / "mood.tflite").unlink()
    assert "No such file" in told()[0]


def test_nothing_is_released_under_a_root_that_ends_soon(of, released, capsys):
    """A signature that ends within 30 days is renewed first."""
    from fleet.folder import Folder
    from fleet.found import Open

    early = datetime.now(timezone.utc) - timedelta(days=710)
    Open.read(Folder.of(of), lambda _path: b"", early).repository.renew_root()
    (told,) = refused(capsys, of, "2.0", "--wheel", released[1])
    assert "the signature of root must be valid for 30 days, ends" in told
    fleet("renew", "--signatures", folder=of)
    fleet("release", "2.0", "--wheel", released[1], folder=of)
