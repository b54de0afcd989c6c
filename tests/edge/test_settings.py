"""A configuration with a mistake in it: file, key and what is allowed are said; nothing is guessed."""

import pytest

from base.errors import SettingsError
from edge.settings import File, V4l2, read

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
CAMERA = "width, height, fps, open_limit_s, read_limit_s"


@pytest.fixture
def config(tmp_path):
    """Writes a configuration file."""

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
    """What is not said has the design's values: windows of a minute, k of five."""
    settings = read(config())
    assert (settings.site, settings.device, settings.capture) == ("shop-1", "door", V4l2(device="/dev/video2"))
    assert settings.admit.staff_zones == (((0, 0), (0.5, 0), (0.5, 1)),)
    assert (settings.tally.window_s, settings.privacy.k) == (60, 5)
    assert settings.admit.dwell_limit_s < settings.track.max_visit_s


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('site = "shop-1"', 'sight = "shop-1"', "unknown key 'sight'; allowed: site, device, capture, admit, detect"),
        ('site = "shop-1"', "", "missing key 'site'"),
        ('site = "shop-1"', 'site = "a/b"', "key 'site': Expected `str` matching"),
        ('site = "shop-1"', "site = 1", "key 'site': Expected `str`, got `int`"),
        ('device = "door"', 'device = ""', "key 'device': "),
        ("[admit.hours]", "[privacy]\nkk = 1\n[admit.hours]", "unknown key 'privacy.kk'; allowed: k"),
        ("[admit.hours]", "[privacy]\nk = 0\n[admit.hours]", "key 'privacy.k': Expected `int` >= 1"),
        ("[admit.hours]", "[broker.tls]\nfile = ''\n[admit.hours]", "'broker.tls.file'; allowed: ca, certificate,"),
        ("[admit.hours]", "[broker]\nport = 70000\n[admit.hours]", "key 'broker.port': Expected `int` <= 65535"),
        ("[admit.hours]", "[broker]\nkeepalive_s = 70000\n[admit.hours]", "keepalive_s': Expected `int` <= 65535"),
        ("staff_zones =", "staf_zones =", "unknown key 'admit.staf_zones'; allowed: staff_zones, hours, dwell_limit_s"),
        ("staff_zones = [[[0, 0], [0.5, 0], [0.5, 1]]]", "", "missing key 'admit.staff_zones'"),
        ("[[0, 0], [0.5, 0], [0.5, 1]]", "[[0, 0], [0.5, 0]]", "'admit.staff_zones[0]': Expected `array` of length >="),
        ("[0.5, 0]", "[320, 0]", "key 'admit.staff_zones[0][1][0]': Expected `float` <= 1"),
        ("[0.5, 0]", "[0.5]", "key 'admit.staff_zones[0][1]': Expected `array` of length 2"),
        ('open = "09:00"', 'open = "9:00"', "key 'admit.hours.open': "),
        ('open = "09:00"', 'open = "24:00"', "key 'admit.hours.open': "),
        ('open = "09:00"', 'open = "09:00\\n"', "key 'admit.hours.open': "),
        ('open = "09:00"', 'days = ["mo"]', "'mo'; allowed: mon, tue, wed, thu, fri, sat, sun"),
        ('source = "v4l2"', 'source = "usb"', "key 'capture.source': Invalid value 'usb'; allowed: picamera2, v4l2,"),
        ('source = "v4l2"', "", "missing key 'capture.source'"),
        ('source = "v4l2"', 'source = "v4l2"\nwitdh = 1', f"'capture.witdh'; allowed: source, {CAMERA}, device"),
        ('source = "v4l2"', 'source = "file"\npath = "x"', "unknown key 'capture.device'; allowed: source, path, fps"),
        ('source = "v4l2"', 'source = "picamera2"', f"'capture.device'; allowed: source, {CAMERA}, camera"),
        ('source = "v4l2"', 'source = "v4l2"\nfps = 0', "key 'capture.fps': Expected `int` >= 1"),
        ("[admit.hours]", "dwell_limit_s = 180\n[admit.hours]", "admit.dwell_limit_s must be less than track"),
        ("[admit.hours]", "[track]\nmax_visit_s = 120\n[admit.hours]", "admit.dwell_limit_s must be less than track"),
        ("[admit.hours]", "[admit.hour]", "unknown key 'admit.hour'; allowed: staff_zones, hours"),
        ("[capture]", "[capture", "not TOML: "),
        ("[capture]", "[camera]", "unknown key 'camera'; allowed: site, device, capture"),
    ],
)  # fmt: skip
def test_mistake_is_named_with_file_key_and_what_is_allowed(config, old, new, says):
    """One mistake, one line that says where it is and what would be right."""
    assert old in GOOD
    assert says in refusal(config(GOOD.replace(old, new)))


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
    """Whatever else ends in MQTT's thread, where nobody sees it: the daemon would count for months and send nothing."""
    path = config(GOOD.replace("[admit.hours]", f'[broker]\nhost = "{host}"\nplain_text = true\n[admit.hours]'))
    if fine:
        assert read(path).broker.host == host
    else:
        assert refusal(path).startswith("key 'broker.host': Expected `str` matching")


def test_no_word_on_zones_is_a_refusal(config):
    """Without zones, or a purposeful ``[]``, nobody is classified."""
    bare = 'site = "a"\ndevice = "b"\n[capture]\nsource = "v4l2"\n'
    assert refusal(config(bare)) == "missing key 'admit'"
    assert refusal(config(bare + "[admit]\n")) == "missing key 'admit.staff_zones'"
    assert read(config(bare + "[admit]\nstaff_zones = []\n")).admit.staff_zones == ()


def test_file_that_cannot_be_read(tmp_path, config):
    """A missing file, a folder and bytes that are no text are named, not traced."""
    assert refusal(tmp_path / "none.toml") == "No such file or directory"
    assert refusal(tmp_path) == "Is a directory"
    config().write_bytes(b'site = "\xff"')
    assert refusal(tmp_path / "edge.toml").startswith("not TOML: ")


def test_override_wins_over_the_file(config):
    """``--set`` takes TOML, and plain text where the value is none."""
    settings = read(
        config(), ("privacy.k=1", "site=mall", 'capture={source="file", path="a b.mp4"}', "admit.staff_zones=[]")
    )
    assert (settings.privacy.k, settings.site, settings.admit.staff_zones) == (1, "mall", ())
    assert settings.capture == File(path="a b.mp4")
    assert read(config(), ("broker.host=10.0.0.1", "broker.plain_text=true")).broker.host == "10.0.0.1"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("privacy.k", "expected key=value"),
        ("=1", "expected key=value"),
        ("", "expected key=value"),
        ("site.name=1", "site is a value, not a table"),
        ("privacy.k=many", "key 'privacy.k': Expected `int`, got `str`"),
        ("privacy.k=", "key 'privacy.k': Expected `int`, got `str`"),
        ("privcy.k=1", "unknown key 'privcy'; allowed: site,"),
    ],
)
def test_bad_override_is_named(config, override, says):
    """An override is held to the same rules as the file."""
    with pytest.raises(SettingsError, match=r"^--set |edge\.toml: ") as error:
        read(config(), (override,))
    assert says in str(error.value)
