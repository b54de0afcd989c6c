"""A booted container with the services installed, shared by all tests that need one."""

import pytest

from tests.support.installed import clips, installed


@pytest.fixture(scope="session")
def debian(tmp_path_factory):
    """A container with all units installed from wheels and the broker running; no unit is started."""
    with installed(tmp_path_factory.mktemp("machine"), clips(tmp_path_factory.mktemp("clips"))) as booted:
        yield booted
