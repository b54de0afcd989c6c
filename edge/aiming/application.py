"""Join the live view, the configuration file and the page's files to what the server answers."""

import base64
import threading
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2

from base.logs import line
from edge.aiming.advice import MIN_FACE_LEVEL, advise, distance_m
from edge.aiming.live_view import LiveView, Snapshot
from edge.aiming.save_zones import save_zones
from edge.aiming.web.routes import Application, PageFile, log
from edge.aiming.web.session import Session
from edge.settings import Polygon

FILES = {
    "/": ("aim.html", "text/html"),
    "/aim.css": ("aim.css", "text/css"),
    "/aim.js": ("aim.js", "text/javascript"),
    "/zones.js": ("zones.js", "text/javascript"),
}
JPEG_QUALITY = 70
HIDDEN = ("blind", "problem", "blurred_max_ratio", "wanted_per_s", "zone_warnings")
"""Measures that only the advice needs."""


def application(
    session: Session, view: LiveView, config: Path, source: str, stop: Callable[[], None], *, images: bool
) -> Application:
    """What the server answers from. Images are encoded only with ``images``, and kept in memory only."""
    encode = _LatestImage() if images else None

    def live() -> dict[str, Any]:
        snapshot = view.latest
        return _live(snapshot) | {
            "image": None if encode is None else encode(snapshot),
            "shows_images": images,
            "source": source,
            "left_s": session.left_s,
        }

    def zones() -> dict[str, Any]:
        return {"zones": view.zones, "path": str(config)}

    def save(polygons: tuple[Polygon, ...]) -> dict[str, Any]:
        backup = save_zones(config, polygons)
        view.set_zones(polygons)
        log.info(line("zones_saved", zones=len(polygons), path=config))
        return {"saved": str(config), "backup": str(backup)}

    folder = files("edge").joinpath("aiming", "page")
    content = {path: PageFile(kind, folder.joinpath(name).read_bytes()) for path, (name, kind) in FILES.items()}
    return Application(session, content, live, zones, save, stop)


def _live(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as JSON, without its image."""
    measures, pixels = snapshot.measures, snapshot.pixels
    advice = advise(measures)
    size = measures.face_px
    distance = distance_m(size, measures.image_width, measures.field_of_view) if size else None
    shown = {name: value for name, value in asdict(measures).items() if name not in HIDDEN}
    return {
        "number": snapshot.number,
        "width": 0 if pixels is None else pixels.shape[1],
        "height": 0 if pixels is None else pixels.shape[0],
        "faces": [
            {"box": [round(side, 1) for side in face.box], "size": round(face.box.size, 1), "state": face.state}
            for face in snapshot.faces
        ],
        "advice": {"topic": advice.topic, "text": advice.text},
        "measures": shown | {"distance_m": distance, "needed_light": MIN_FACE_LEVEL},
    }


class _LatestImage:
    """Encodes the latest frame as a JPEG in a data URL, once per frame; several requests may ask for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number, self._url = -1, ""

    def __call__(self, snapshot: Snapshot) -> str | None:
        """The data URL of a snapshot's frame; None without a frame."""
        if snapshot.pixels is None:
            return None
        with self._lock:
            if snapshot.number != self._number:
                quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
                content = cv2.imencode(".jpg", snapshot.pixels, quality)[1].tobytes()
                self._number, self._url = (
                    snapshot.number,
                    f"data:image/jpeg;base64,{base64.b64encode(content).decode()}",
                )
            return self._url
