"""Count scripted scenes with the daemon's pipeline, and print the counts beside the truth.

``python -m benchmarks.accuracy.scenarios [--scenes NAME...] [--fps RATE...] [--seed N]``

The columns are: true visits, counted visits and their relative error; counted visits of staff and objects (``none``)
and of false detections (``false``); identity switches; faces of staff classified after the dwell limit (``late``).
"""

import argparse
from collections.abc import Callable

from benchmarks.simulation import scripted_scenes
from benchmarks.simulation.people import Scene
from benchmarks.simulation.scripted_pipeline import run_scene

SCENES: dict[str, Callable[[int], Scene]] = {
    "crossing": scripted_scenes.crossing,
    "hidden": scripted_scenes.hidden,
    "flicker": scripted_scenes.flicker,
    "poster": scripted_scenes.poster,
    "staying": scripted_scenes.staying,
    "groups": scripted_scenes.groups,
    "shop": scripted_scenes.shop,
    "cashier": scripted_scenes.cashier,
    "till": scripted_scenes.till,
    "before_till": scripted_scenes.before_till,
    "door": scripted_scenes.door,
    "queue": scripted_scenes.queue,
    "in_place": scripted_scenes.in_place,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.scenarios", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES), help="scenes (default: all)")
    parser.add_argument("--fps", nargs="+", type=float, default=[30, 15, 5], help="frame rates (default: 30 15 5)")
    parser.add_argument("--seed", type=int, default=1, help="seed of scenes and noise (default: %(default)s)")
    arguments = parser.parse_args()
    print(
        f"{'scene':12}{'fps':>4}{'truth':>7}{'counted':>9}{'error':>8}{'none':>6}{'false':>7}{'switches':>10}{'late':>6}"
    )
    for name in arguments.scenes:
        scene = SCENES[name](arguments.seed)
        for fps in arguments.fps:
            score = run_scene(scene, fps, arguments.seed)
            truth, counted = score.truth.total(), score.counted.total()
            error = f"{score.error:+.1%}" if truth else "-"
            rest = f"{score.wrong:6}{score.false:7}{score.switches:10}{score.late_classified:6}"
            print(f"{name:12}{fps:4.0f}{truth:7}{counted:9}{error:>8}{rest}", flush=True)


if __name__ == "__main__":
    main()
