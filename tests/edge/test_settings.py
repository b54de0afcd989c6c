"""Settings of the daemon: defaults, and errors that name file, key, value and what is allowed."""

import pytest

from base.errors import SettingsError
from edge.camera_settings import File, Http, Rtsp, V4l2, camera_keys
from edge.settings import RENAMED, read

GOOD = """
site = "shop-1"
device = "door"
[capture]
source = "v4l2"
device = "/dev/video2"
[admit]
staff_zones = [[[0, 0], [0.5, 0], [0.5, 1]]]
[admit.hours]
timezone = "Europe/Berlin"
open = "09:00"
close = "20:00"
"""
CAMERA = "fps, open_limit_s, read_limit_s, width, height"


@pytest.fixture
def config(tmp_path):
    """Write a configuration file and return its path."""

    def write(text=GOOD):
        path = tmp_path / "edge.toml"
        path.write_text(text)
        return path

    return write


def refusal(path, *overrides):
    with pytest.raises(SettingsError) as error:
        read(path, overrides)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


def test_good_file_is_read_and_the_rest_has_defaults(config):
    """Keys that the file does not set have their defaults: windows of a minute, k = 5."""
    settings = read(config())
    assert (settings.site, settings.device, settings.capture) == ("shop-1", "door", V4l2(device="/dev/video2"))
    assert settings.admit.staff_zones == (((0, 0), (0.5, 0), (0.5, 1)),)
    assert (settings.tally.window_s, settings.privacy.k) == (60, 5)
    assert settings.admit.dwell_limit_s < settings.track.max_visit_s


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('site = "shop-1"', 'sight = "shop-1"', "unknown key 'sight'; allowed: site, device, capture, admit, detect"),
        ('site = "shop-1"', "", "missing key 'site'"),
        ('site = "shop-1"', 'site = "a/b"', "key 'site': must be 1 to 64 letters, digits, '.', '_' or '-', "),
        ('site = "shop-1"', "site = 1", "key 'site': must be a text, is 1"),
        ('device = "door"', 'device = ""', "key 'device': "),
        ("[admit.hours]", "[privacy]\nkk = 1\n[admit.hours]", "unknown key 'privacy.kk'; allowed: k"),
        ("[admit.hours]", "[privacy]\nk = 0\n[admit.hours]", "key 'privacy.k': must be >= 1, is 0"),
        ("[admit.hours]", "[broker.tls]\nfile = ''\n[admit.hours]", "'broker.tls.file'; allowed: ca, certificate,"),
        ("[admit.hours]", "[broker]\nport = 70000\n[admit.hours]", "key 'broker.port': must be <= 65535, is 70000"),
        ("[admit.hours]", "[broker]\nkeepalive_s = 70000\n[admit.hours]", "keepalive_s': must be <= 65535, is 70000"),
        ("staff_zones =", "staf_zones =", "unknown key 'admit.staf_zones'; allowed: staff_zones, hours, dwell_limit_s"),
        ("staff_zones = [[[0, 0], [0.5, 0], [0.5, 1]]]", "", "missing key 'admit.staff_zones'"),
        ("[[0, 0], [0.5, 0], [0.5, 1]]", "[[0, 0], [0.5, 0]]", "'admit.staff_zones[0]': must be a list of length >= 3"),
        ("[0.5, 0]", "[320, 0]", "key 'admit.staff_zones[0][1][0]': must be <= 1, is 320"),
        ("[0.5, 0]", "[0.5]", "key 'admit.staff_zones[0][1]': must be a list of length 2, is a list of length 1"),
        ('open = "09:00"', 'open = "9:00"', "'admit.hours.open': must be a time HH:MM from 00:00 to 23:59, is '9:00'"),
        ('open = "09:00"', 'open = "24:00"', "key 'admit.hours.open': "),
        ('open = "09:00"', 'open = "09:00\\n"', "key 'admit.hours.open': "),
        ('open = "09:00"', 'days = ["mo"]', "must be one of mon, tue, wed, thu, fri, sat, sun, is 'mo'"),
        ('source = "v4l2"', 'source = "usb"', "must be one of picamera2, v4l2, gstreamer, rtsp, http, file, is 'usb'"),
        ('source = "v4l2"', "", "missing key 'capture.source'"),
        ('source = "v4l2"', 'source = "v4l2"\nwitdh = 1', f"'capture.witdh'; allowed: source, {CAMERA}, device"),
        ('source = "v4l2"', 'source = "file"\npath = "x"', "unknown key 'capture.device'; allowed: source, path, fps"),
        ('source = "v4l2"', 'source = "picamera2"', f"'capture.device'; allowed: source, {CAMERA}, camera"),
        ('source = "v4l2"', 'source = "v4l2"\nfps = 0', "key 'capture.fps': must be >= 1, is 0"),
        ('source = "v4l2"', 'source = "v4l2"\na = 1\nb = 2', f"'capture.a', 'capture.b'; allowed: source, {CAMERA}"),
        ('source = "v4l2"', 'source = "v4l2"\nformat = "x"', "'capture.format': must be the code of a V4L2 pixel"),
        ("[admit.hours]", "dwell_limit_s = 180\n[admit.hours]", "admit.dwell_limit_s must be less than track"),
        ("[admit.hours]", "[track]\nmax_visit_s = 120\n[admit.hours]", "admit.dwell_limit_s must be less than track"),
        ("[admit.hours]", "[admit.hour]", "unknown key 'admit.hour'; allowed: staff_zones, hours"),
        ("[capture]", "[capture", "not TOML: "),
        ("[capture]", "[camera]", "unknown key 'camera'; allowed: site, device, capture"),
    ],
)  # fmt: skip
def test_error_names_file_key_and_what_is_allowed(config, old, new, expected):
    """The error for a mistake is one line that expected where it is and what is allowed."""
    assert old in GOOD
    assert expected in refusal(config(GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        ('source="rtsp"', "missing key 'capture.url'"),
        ('source="rtsp", url="rtsp://admin:hunter2@h/1"', "url must not hold a user name or password; set username"),
        ('source="rtsp", url="rtsp://admin:hun/ter2@h/1"', "url must not hold a user name or password; set username"),
        ('source="rtsp", url="http://h/1"', "url must be rtsp://HOST[:PORT]/PATH or rtsps://HOST[:PORT]/PATH"),
        ('source="http", url="ftp://h/1"', "url must be http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH"),
        ('source="rtsp", url="rtsp://h:70000/1"', "url must be rtsp://HOST"),
        ('source="rtsp", url="rtsp:///1"', "url must be rtsp://HOST"),
        ('source="rtsp", url="rtsp://h/a b"', "url must be rtsp://HOST"),
        ('source="rtsp", url="rtsp://h/1", username="a"', "username and password_file must be set together"),
        ('source="rtsp", url="rtsp://h/1", transport="sctp"', "must be one of tcp, udp, is 'sctp'"),
        (
            'source="rtsp", url="rtsp://h/1", width=640',
            "unknown key 'capture.width'; allowed: source, fps, open_limit_s",
        ),
    ],
)
def test_error_of_a_network_camera_shows_no_secret(config, camera, expected):
    """A mistake in a network camera is named, without the URL, which may hold a password."""
    text = refusal(config(), f"capture={{{camera}}}")
    assert expected in text
    assert "hun" not in text


@pytest.mark.parametrize(
    ("camera", "keys"),
    [
        ("0", {"source": "v4l2", "device": 0}),
        ("/dev/v4l/by-id/usb-1", {"source": "v4l2", "device": "/dev/v4l/by-id/usb-1"}),
        ("rtsp://h/1", {"source": "rtsp", "url": "rtsp://h/1"}),
        ("rtsps://h/1", {"source": "rtsp", "url": "rtsps://h/1"}),
        ("https://h/1", {"source": "http", "url": "https://h/1"}),
    ],
)
def test_camera_of_the_command_line(camera, keys):
    """A number, a path or a URL chooses the source."""
    assert camera_keys(camera) == keys


def test_name_of_a_network_camera_holds_no_query():
    """The log shows scheme, host, port and path: a query may hold a password."""
    assert Rtsp(url="rtsp://h/a?user=admin&password=x").name == "rtsp://h:554/a"
    assert Http(url="https://[::1]:8443/a").name == "https://[::1]:8443/a"


@pytest.mark.parametrize(
    ("host", "fine"),
    [
        ("localhost", True),
        ("broker", True),
        ("mqtt-1.shop_2.example.com", True),
        ("broker.local.", True),
        (63 * "a" + ".local", True),
        ("192.168.0.10", True),
        ("::1", True),
        ("2001:db8::1", True),
        ("fe80::1%eth0", True),
        ("::ffff:192.0.2.1", True),
        ("", False),
        ("broker..local", False),
        (".local", False),
        (64 * "a" + ".local", False),
        ("mqtt://broker", False),
        ("broker:1883", False),
        ("bad:1883", False),
        (63 * "ü" + ".local", False),
        ("a b", False),
        ("broker\\n", False),
    ],
)
def test_host_is_a_name_or_an_address(config, host, fine):
    """Other hosts are rejected: they would raise in the MQTT client's thread, and nothing would ever be sent."""
    path = config(GOOD.replace("[admit.hours]", f'[broker]\nhost = "{host}"\nplain_text = true\n[admit.hours]'))
    if fine:
        assert read(path).broker.host == host
    else:
        assert refusal(path).startswith("key 'broker.host': must be a host name or an IP address, is ")


def test_staff_zones_must_be_set(config):
    """The daemon does not start without staff zones or an explicit ``[]``."""
    bare = 'site = "a"\ndevice = "b"\n[capture]\nsource = "v4l2"\n'
    assert refusal(config(bare)) == "missing key 'admit'"
    assert refusal(config(bare + "[admit]\n")) == "missing key 'admit.staff_zones'"
    assert read(config(bare + "[admit]\nstaff_zones = []\n")).admit.staff_zones == ()


def test_file_that_cannot_be_read(tmp_path, config):
    """The error for a missing file, a folder or bytes that are not UTF-8 names the file."""
    assert refusal(tmp_path / "none.toml") == "No such file or directory"
    assert refusal(tmp_path) == "Is a directory"
    config().write_bytes(b'site = "\xff"')
    assert refusal(tmp_path / "edge.toml").startswith("not TOML: ")


def test_override_wins_over_the_file(config):
    """An override is read as TOML, or as text where it is not TOML."""
    settings = read(
        config(), ("privacy.k=1", "site=mall", 'capture={source="file", path="a b.mp4"}', "admit.staff_zones=[]")
    )
    assert (settings.privacy.k, settings.site, settings.admit.staff_zones) == (1, "mall", ())
    assert settings.capture == File(path="a b.mp4")
    assert read(config(), ("broker.host=10.0.0.1", "broker.plain_text=true")).broker.host == "10.0.0.1"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("privacy.k", "expected key=value"),
        ("=1", "expected key=value"),
        ("", "expected key=value"),
        ("site.name=1", "site must be a table, is a value"),
        ("privacy.k=many", "key 'privacy.k': must be a whole number, is 'many'"),
        ("privacy.k=", "key 'privacy.k': must be a whole number, is ''"),
        ("privcy.k=1", "unknown key 'privcy'; allowed: site,"),
    ],
)
def test_error_names_a_wrong_override(config, override, expected):
    """An override is checked like the file."""
    with pytest.raises(SettingsError, match=r"^--set |edge\.toml: ") as error:
        read(config(), (override,))
    assert expected in str(error.value)


FORMER = {
    **{
        f"publish.{key}": f"broker.{key}"
        for key in (
            "host", "port", "username", "password_file", "tls", "plain_text", "keepalive_s", "drain_per_s", "confirm",
        )
    },
    "track.min_sightings": "track.min_observations",
}  # fmt: skip


@pytest.mark.parametrize("old", FORMER)
def test_former_key_is_an_error_that_names_the_present_one(config, old):
    """Each renamed key is rejected in the file and as an override."""
    section, _, key = old.partition(".")
    expected = f"key '{old}' is now '{FORMER[old]}'"
    assert refusal(config(f"{GOOD}[{section}]\n{key} = 1\n")) == expected
    assert refusal(config(), f"{old}=1") == expected


def test_former_empty_section_is_an_error_that_names_the_present_one(config):
    """A renamed section is rejected even without keys."""
    (section,) = (old for old in RENAMED if "." not in old)
    assert refusal(config(f"{GOOD}[{section}]\n")) == "key 'publish' is now 'broker'"


def test_every_former_key_of_the_daemon_is_tested():
    """The table of renamed keys holds no other section or key."""
    assert {new: old for old, new in RENAMED.items()}.keys() == {"broker", "track.min_observations"}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("site=true", "key 'site': must be a text, is true"),
        ("privacy.k=1.5", "key 'privacy.k': must be a whole number, is 1.5"),
        ("privacy=3", "key 'privacy': must be a table, is 3"),
        ("capture.device=[1]", "key 'capture.device': must be a whole number or a text, is a list of length 1"),
        ("broker.confirm=1", "key 'broker.confirm': must be one of collector, broker, is 1"),
        ("classify.bundle=1", "key 'classify.bundle': must be a text, is 1"),
        ('broker.tls={ca=""}', "key 'broker.tls.ca': must be a text of length >= 1, is ''"),
        ("detect.follow_motion=1", "key 'detect.follow_motion': must be true or false, is 1"),
        ("tally.window_s=2026-03-28", "key 'tally.window_s': must be a number, is 2026-03-28"),
        ('capture.source="rtsp://a:b@h"', "is 'rtsp://***@h'"),
        (f'site="{"a" * 100}"', "is '" + "a" * 40 + "'..."),
    ],
)
def test_error_shows_the_value_in_plain_words(config, override, expected):
    """Types have plain names; long texts are cut off, and secrets are hidden."""
    assert expected in refusal(config(), override)
