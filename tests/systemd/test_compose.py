"""The compose file of the servers fits the files that it mounts, the servers' configurations, and a new fleet.

`benchmarks/machines/compose.py` runs it.
"""

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import msgspec
import pytest
import yaml

from base.toml_settings import from_tree
from collector.settings import Settings
from tests.support.fleets import made

ROOT = Path(__file__).parents[2]
HERE = ROOT / "systemd" / "compose"
COMPOSE = yaml.safe_load((HERE / "compose.yaml").read_text())
CONTAINERFILE = (HERE / "Containerfile").read_text()
SERVICES = COMPOSE["services"]
SERVERS = {name: each for name, each in SERVICES.items() if name not in ("keys", "page-network")}
"""Those that serve somebody; `page-network` only sleeps."""
LISTENING = {
    "broker": ROOT / "systemd/broker/mosquitto-certificates.conf",
    "page-network": ROOT / "systemd/proxy/nginx.conf",
    "releases": ROOT / "systemd/proxy/nginx-releases.conf",
}


@pytest.fixture(scope="module")
def of(tmp_path_factory):
    """A new fleet with the passwords of the page."""
    folder = made(tmp_path_factory.mktemp("servers"))
    (folder / "secrets/page.passwords").write_text("analyst:x\n")
    return folder


@pytest.fixture(scope="module")
def keys(of, tmp_path_factory):
    """The volumes of keys, as the shipped script fills them, but with this user as owner."""
    folder = tmp_path_factory.mktemp("keys")
    for _source, place in mounts("keys"):
        if place.startswith("/keys/"):
            (folder / Path(place).name).mkdir()
    script = (HERE / "keys.sh").read_text().replace("-o 10001 -g 10001 ", "")
    script = script.replace("/fleet/", f"{of}/").replace("/keys/", f"{folder}/")
    subprocess.run(["sh", "-c", script], check=True)
    return folder


def mounts(service):
    """Yield source and place of each mount of a service."""
    for line in SERVICES[service]["volumes"]:
        source, place = re.fullmatch(r"((?:\$\{[^}]*\})?[^:]*):([^:]*)(?::ro)?", line).groups()
        yield source, place


def placed(service, path, keys):
    """The file of a volume of keys that a path in the container of a service stands for."""
    for name in re.findall(r"ln -s \"(\S+)\.\$name\" \"(\S+)\.\$name\"", CONTAINERFILE):
        path = path.replace(f"{name[1]}.", f"/etc/nginx/{name[0]}.")
    for source, place in mounts(service):
        if source.endswith("-keys") and path.startswith(f"{place}/"):
            return keys / source.removesuffix("-keys") / path.removeprefix(f"{place}/")
    raise AssertionError(f"{service}: no volume of keys has {path}")


def test_every_file_that_is_mounted_exists_after_init(of):
    """Files of the fleet come from `facetally-fleet init` and the guide's password, all others from the checkout.

    Only the page's folder may be missing. podman-compose makes it, as a folder, so that no file may stand for it.
    """
    for service in SERVICES:
        for source, _place in mounts(service) if "volumes" in SERVICES[service] else ():
            if source == "${FLEET}/page":
                assert not (of / "page").exists()
            elif source.startswith("$"):
                assert (of / source.partition("}/")[2]).exists(), source
            elif source.startswith("."):
                assert (HERE / source).is_file(), source
            else:
                assert source in COMPOSE["volumes"], source


@pytest.mark.parametrize("service", LISTENING)
def test_the_published_port_is_the_one_of_the_configuration(service):
    """The container's side of the port is what Mosquitto or nginx listens on."""
    (line,) = SERVICES[service]["ports"]
    port = line.rpartition(":")[2]
    assert f":-{port}}}" in line, "the same port outside, unless a variable says otherwise"
    text = LISTENING[service].read_text()
    assert set(re.findall(r"^\s*listen(?:er)? (?:\[::\]:)?(\d+)", text, re.MULTILINE)) == {port}


def test_each_server_has_the_keys_that_its_configuration_names(keys):
    """The script that hands out keys knows all of them, and gives no key to a second server."""
    named = {
        "broker": re.findall(r"(?:cafile|certfile|keyfile|crlfile) (\S+)", LISTENING["broker"].read_text()),
        "releases": re.findall(r"/etc/nginx/facetally/[^\s;]+", LISTENING["releases"].read_text()),
        "proxy": re.findall(r"/etc/nginx/facetally[^\s;]+", LISTENING["page-network"].read_text()),
        "collector": re.findall(r"/etc/facetally/keys/\S+?(?=\")", (HERE / "collector.toml").read_text()),
    }
    assert [len(paths) for paths in named.values()] == [4, 4, 3, 3]
    for service, paths in named.items():
        for path in paths:
            assert placed(service, path, keys).stat().st_size, path
    assert sorted(path.name for path in keys.rglob("*.key")) == ["broker.key", "collector.key", "page.key", "web.key"]
    for service in ("broker", "releases", "proxy", "collector"):
        waits_for = SERVICES[service]["command"][2]
        assert waits_for in named[service], f"{service} waits for its key"


@pytest.mark.parametrize("service", SERVERS)
def test_each_server_is_confined_watched_and_started_again(service):
    """No root, no capability, nothing to write but volumes; a health check, and logs of bounded size."""
    each = SERVERS[service]
    assert (each["read_only"], each["cap_drop"], each["restart"]) == (True, ["ALL"], "always")
    assert each["security_opt"] == ["no-new-privileges:true"]
    assert each["logging"]["options"]["max-size"]
    assert each["healthcheck"]["test"][0] == "CMD"
    assert "user" not in each and "cap_add" not in each and "privileged" not in each


def test_no_image_of_a_server_runs_as_root():
    """Each stage that compose.yaml builds ends with the user 10001, except the one that hands out keys."""
    stages = dict(re.findall(r"^FROM \$\{BASE\} AS (\S+)\n((?:(?!^FROM).*\n)*)", CONTAINERFILE, re.MULTILINE))
    built = {each["build"]["target"] for each in SERVICES.values() if "build" in each}
    assert {name for name, text in stages.items() if "USER 10001:10001" not in text} & built == {"keys"}
    assert built <= set(stages)
    images = {each["image"] for each in SERVICES.values() if "build" in each}
    assert {each["image"] for each in SERVICES.values()} == images


def test_the_images_are_built_from_files_that_the_build_gets():
    """Every copied file exists and .dockerignore lets it through; the wheel's packages are all there."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in re.findall(r"^COPY (systemd/\S+)", CONTAINERFILE, re.MULTILINE):
        assert (ROOT / source).is_file(), source
        assert any(fnmatch(source, f"{each}/*") for each in allowed), source
    project = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"]}
    assert needed | set(project["project"]["license-files"]) | {"pyproject.toml"} == set(allowed)


def test_the_collector_reads_its_configuration():
    """It is valid, and what the page reads is what the collector writes."""
    settings = from_tree(msgspec.toml.decode((HERE / "collector.toml").read_bytes()), Settings, "collector.toml")
    stores = {service: dict(map(reversed, mounts(service))) for service in ("collector", "page")}
    for service in stores:
        assert stores[service][settings.store.root] == "store"
    groups = Path(settings.page.groups or "")
    assert (groups.name, dict(mounts("page"))["${FLEET}/page"]) == ("groups.csv", str(groups.parent))
    assert settings.page.host == "127.0.0.1", "nginx asks for the login"
    assert f"{settings.store.root}:ro" in " ".join(SERVICES["page"]["volumes"])
