"""One message of each kind and schema version; tests/golden has their bytes."""

from datetime import datetime, timezone

import msgspec
from msgspec.structs import replace

from contract.health import Health, Latency
from contract.message import Privacy, Shadow, Status
from tests.support.fakes import MODEL, counts

BOOT = "0123456789abcdef"
WITH_VISITS = replace(MODEL, schema=2, expression=replace(MODEL.expression, visit_confusion=((9, 0, 1), (1, 8, 2))))


MESSAGES = {
    "counts-1": counts(1, 6, seq=41, coverage=0.9833, degraded=("no_camera", "hot"), merged=3, clock="restamped"),
    "counts-1-empty": counts(2, seq=42, coverage=0.0),
    "counts-2": counts(1, 6, seq=43, schema=2, doubtful_low=2, doubtful_high=1),
    "status-1": Status(schema=1, state="offline", boot=BOOT),
    "model-1": MODEL,
    "model-3": WITH_VISITS,
    "health-1": Health(
        schema=1,
        boot=BOOT,
        time=datetime(2026, 3, 28, 9, 1, 0, 500_000, timezone.utc),
        uptime_s=61.5,
        frames_per_s=14.9,
        latency_ms={"detect": Latency(p50=31.2, p95=40.0)},
        frames_dropped=3,
        spool_depth=2,
        spool_dropped=0,
        oldest_unsent=datetime(2026, 3, 28, 9, 0, tzinfo=timezone.utc),
        memory_mb=96.4,
        temperature_c=61.5,
        throttled=None,
        clock="synced",
        versions={"facetally": "0.1.0", "runtime": "ai_edge_litert"},
    ),
}
MESSAGES["health-2"] = msgspec.structs.replace(MESSAGES["health-1"], schema=2, written_mb=3.2, shared_with="f" * 16)
MESSAGES["health-3"] = msgspec.structs.replace(
    MESSAGES["health-2"],
    schema=3,
    detections_saved=0.93,
    detector_choice="the same for every file that is replayed",
    fixed_faces=2,
)
MESSAGES["health-4"] = msgspec.structs.replace(
    MESSAGES["health-3"],
    schema=4,
    tracks_ended={"counted": 12, "staff_zone_1": 8, "too_short": 0},
    configuration_sha256="c" * 64,
    release="2026.11.2",
    update_failed="2026.11.3: the daemon was not ready after 300 s",
    certificate_ends=datetime(2027, 3, 28, 9, 0, tzinfo=timezone.utc),
)
MESSAGES["shadow-1"] = Shadow(
    schema=1,
    boot=BOOT,
    seq=2,
    active="expression@bbbbbbbbbbbb",
    shadow="expression-new@cccccccccccc",
    fraction=0.1,
    privacy=Privacy(k=5),
    labels=("happiness", "neutral"),
    table=((40, 3, 0), (2, 50, 1), (0, 1, 3)),
    skipped=6,
)
