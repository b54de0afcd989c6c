"""The health message: its fields belong to its versions."""

from datetime import datetime, timezone

import msgspec
import pytest

from tests.support.messages import MESSAGES


@pytest.mark.parametrize(
    ("schema", "field", "value"),
    [
        (1, "written_mb", 3.2),
        (1, "detections_saved", 0.5),
        (2, "detections_saved", 0.5),
        (2, "detector_choice", "set"),
        (2, "fixed_faces", 2),
        (3, "tracks_ended", {"counted": 1}),
        (3, "configuration_sha256", "c" * 64),
        (3, "certificate_ends", datetime(2027, 3, 28, tzinfo=timezone.utc)),
    ],
)
def test_a_field_that_is_newer_than_the_version_is_refused(schema, field, value):
    """A reader of the old version would reject the unknown key, so the sender does too."""
    since = 2 if field == "written_mb" else max(3, schema + 1)
    with pytest.raises(ValueError, match=rf"{field}.* needs? schema {since}"):
        msgspec.structs.replace(MESSAGES["health-1"], schema=schema, **{field: value})
