"""What is spent around the two networks, beside YuNet's time on the same frames in the same run.

``python -m benchmarks.speed.stages [--clip PATH] [--yunet FILE.onnx]``: the table of `facetally-edge bench`, one
thread; and the glue (all stages less the two networks) as a share of YuNet's time at the long side of 320.
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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.stages", description=__doc__.partition("\n")[0])
    parser.add_argument("--clip", help="video, animation or folder (default: the demonstration's clip)")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        clip = chosen.clip
        if clip is None:
            from demo.clip import compose  # noqa: PLC0415 (needs the demonstration's packages)

            clip = str(Path(folder) / "walk-by.mp4")
            compose(Path(clip))
        times = bench.measure(clip, build.detector_bundle(), build.classifier_bundle())
        print(bench.table(times))
        if chosen.yunet:
            peer = YuNet(chosen.yunet, 0.9)
            frames = [pixels for _, pixels in read_images(clip)]
            theirs = float(np.median(timed({"YuNet": peer.detect}, frames)["YuNet"]))
            print(f"YuNet at 320: {theirs:.3f} ms; the glue is {times.glue_ms() / theirs:.3f} of it")


if __name__ == "__main__":
    main()
