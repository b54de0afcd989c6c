"""Manifests of releases and devices: required keys, error messages, and paths in the repository."""

import json
import re

import pytest

from contract import release as contract
from contract.errors import ReleaseError
from contract.release import DeviceManifest, ReleaseManifest, read_manifest, write_manifest

DIGEST = "0f" * 32
WHEEL = {"path": "wheels/facetally-1.0-py3-none-any.whl", "sha256": DIGEST, "length": 9}
WHEELS = {"python": "3.13", "machine": "aarch64", "board": "generic", "wheels": [WHEEL]}
BUNDLE = {
    "name": "mood",
    "card": {"path": "bundles/mood-0f0f0f0f0f0f.json", "sha256": DIGEST, "length": 9},
    "model": {"path": "bundles/mood-0f0f0f0f0f0f.tflite", "sha256": DIGEST, "length": 9},
}
RELEASE = {
    "schema": 1, "release": "r1", "created": "2026-11-29T10:00:00Z", "version": "1.0", "minimum_disk_mb": 300,
    "wheel_sets": [WHEELS], "bundles": [BUNDLE],
}  # fmt: skip
DEVICE = {
    "schema": 1, "site": "shop-1", "device": "door", "number": 1, "release": "r1",
    "configuration": {"path": f"configurations/shop-1/door/{DIGEST}.toml", "sha256": DIGEST, "length": 9},
}  # fmt: skip


CAMERAS = DEVICE | {"schema": 2, "instances": {"till": DEVICE["configuration"]}}


@pytest.mark.parametrize(
    ("tree", "kind"), [(RELEASE, ReleaseManifest), (DEVICE, DeviceManifest), (CAMERAS, DeviceManifest)]
)
def test_a_manifest_reads_back_as_itself(tree, kind):
    """Reading and writing lose nothing."""
    read = read_manifest(json.dumps(tree).encode(), kind, "x.json")
    assert read_manifest(write_manifest(read), kind, "x.json") == read


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (DeviceManifest, b"{", "not JSON"),
        (DeviceManifest, b" " * (contract.MAX_MANIFEST_BYTES + 1), "must be at most 1000000 bytes, is 1000001"),
        (DeviceManifest, b"[" * 100_000, "x.json: must be an object"),
        (DeviceManifest, json.dumps(DEVICE | {"number": 0}).encode(), "key 'number': must be >= 1, is 0"),
        (DeviceManifest, json.dumps(DEVICE | {"person": 1}).encode(), "person"),
        (DeviceManifest, json.dumps(CAMERAS | {"schema": 1}).encode(), "instances need schema 2, `schema` is 1"),
        (DeviceManifest, json.dumps(CAMERAS | {"instances": {"update": WHEEL}}).encode(), "must be 1 to 21"),
        (DeviceManifest, json.dumps(DEVICE | {"site": "../up"}).encode(), "key 'site': must be 1 to 64 letters"),
        (
            DeviceManifest,
            json.dumps(DEVICE | {"configuration": WHEEL | {"path": "a/../b"}}).encode(),
            "key 'configuration.path'",
        ),
        (ReleaseManifest, json.dumps(RELEASE | {"wheel_sets": []}).encode(), "key 'wheel_sets'"),
        (ReleaseManifest, json.dumps(RELEASE | {"wheel_sets": [WHEELS, WHEELS]}).encode(), "must be unique by python"),
        (ReleaseManifest, json.dumps(RELEASE | {"bundles": [BUNDLE, BUNDLE]}).encode(), "unique names, are mood, mood"),
    ],
)
def test_a_wrong_manifest_is_refused_with_file_and_key(kind, text, expected):
    """The error names the file and the key, and says what is wrong."""
    with pytest.raises(ReleaseError, match=expected) as caught:
        read_manifest(text, kind, "x.json")
    assert str(caught.value).startswith("x.json: ")


def test_a_device_gets_the_wheels_of_its_kind_or_an_error_that_lists_the_kinds():
    """Python, processor and board select one set; facetally names what there is if none fits."""
    manifest = read_manifest(json.dumps(RELEASE).encode(), ReleaseManifest, "x.json")
    (wheel,) = manifest.wheels_for("3.13", "aarch64", "generic")
    assert wheel.name == "facetally-1.0-py3-none-any.whl"
    assert manifest.pythons == ("3.13",)
    with pytest.raises(ReleaseError, match=r"r1: must have wheels for Python 3\.11 .*, has 3\.13 aarch64 generic"):
        manifest.wheels_for("3.11", "aarch64", "generic")


def test_every_path_is_a_valid_target_path():
    """The paths that the functions return match the pattern, also with the longest ids."""
    longest = "a" * 64
    for path in (
        contract.release_path(longest),
        contract.sbom_path(longest),
        contract.device_path(longest, longest),
        contract.configuration_path(longest, longest, DIGEST),
        contract.certificate_path(longest, longest, DIGEST),
        contract.wheel_path("numpy-2.5.5-cp313-cp313-manylinux_2_27_aarch64.whl"),
        contract.bundle_path(longest, DIGEST, "tflite"),
    ):
        assert re.fullmatch(contract.PATH_PATTERN, path), path
