"""When a device has taken a release."""

from datetime import datetime, timezone

from msgspec.structs import replace

from contract.health import Health
from contract.message import Message, Status
from contract.release import DeviceManifest, File
from contract.topics import Address
from fleet.rollout.observer import Observer
from fleet.rollout.state import DeviceState
from tests.support.messages import MESSAGES

NOW = datetime(2026, 1, 5, tzinfo=timezone.utc)


def configuration(digit: str) -> File:
    """A file of this SHA-256."""
    return File(path=f"configurations/{digit}.toml", sha256=64 * digit, length=1)


def test_a_release_is_taken_once_all_cameras_that_are_online_run_it() -> None:
    """A release that changes a further camera only is not taken before: its host runs the same as before.

    A camera that is offline, as one without a card, is not waited for.
    """
    cameras = {"till": configuration("2"), "side": configuration("3")}
    wanted = DeviceManifest(
        schema=2, site="s", device="door", number=2, release="1", configuration=configuration("1"), instances=cameras
    )
    observer, state = Observer(), DeviceState()

    def says(device: str, message: Message) -> None:
        observer.add(Address("s", device, "health"), message, False, NOW)
        if device == "door":
            observer.follow("s/door", state, wanted, message, NOW)

    def runs(device: str, digit: str) -> None:
        sample = MESSAGES["health-4"]
        assert isinstance(sample, Health)
        says(device, Status(schema=1, state="online", boot=sample.boot))
        says(device, replace(sample, release="1", configuration_sha256=64 * digit))

    runs("till", "9")
    runs("door", "1")
    assert state.taken is None
    runs("till", "2")
    runs("door", "1")
    assert state.taken == NOW
