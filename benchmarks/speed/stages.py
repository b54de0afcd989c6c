"""Measure the time of each stage of a frame, beside YuNet on the same frames in the same run.

``python -m benchmarks.speed.stages [--clip PATH] [--yunet FILE.onnx]`` prints the table of `facetally-edge bench`, with
one thread. With ``--yunet`` it adds the time of all stages without the networks, relative to YuNet at a long side
of 320 pixels.
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.speed.yunet import YuNet, timed
from edge import build
from edge.commands import bench
from edge.commands.try_images import read_images
from edge.settings import AUTO
from edge.vision.bundle import DEFAULT_DETECTOR


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.stages", description=__doc__.partition("\n")[0])
    parser.add_argument("--clip", help="video, animation or folder (default: the clip of the demonstration)")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        clip = arguments.clip
        if clip is None:
            from demo.clip import compose  # noqa: PLC0415 (needs the packages of the demonstration)

            clip = str(Path(folder) / "walk-by.mp4")
            compose(Path(clip))
        check = build.check_bundle(AUTO, DEFAULT_DETECTOR)
        bundles = build.Bundles(build.detector_bundle(), check, build.classifier_bundle())
        times = bench.measure(clip, bundles)
        print(bench.table(times))
        if arguments.yunet:
            peer = YuNet(arguments.yunet, 0.9)
            frames = [pixels for _, pixels in read_images(clip)]
            yunet_ms = float(np.median(timed({"YuNet": peer.detect}, frames)["YuNet"]))
            ratio = times.glue_ms() / yunet_ms
            print(f"YuNet at 320: {yunet_ms:.3f} ms; all stages without the networks: {ratio:.3f} of it")


if __name__ == "__main__":
    main()
