"""Scripted scenes -> visits counted by the daemon's own loop, beside the truth.

``python -m benchmarks.accuracy.scenarios [--scenes NAME...] [--fps RATE...] [--seed N]``: truth, what was counted and by how
much it errs; of these, visits of people or things that are none (staff, a poster, flicker) and of false faces; identity
switches; looks at the cashier after the first dwell limit.
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.scenarios", description=__doc__)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--fps", nargs="+", type=float, default=[30, 15, 5])
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    print(
        f"{'scene':12}{'fps':>4}{'truth':>7}{'counted':>9}{'error':>8}{'none':>6}{'false':>7}{'switches':>10}{'late':>6}"
    )
    for name in chosen.scenes:
        scene = SCENES[name](chosen.seed)
        for fps in chosen.fps:
            score = run_scene(scene, fps, chosen.seed)
            truth, counted = score.truth.total(), score.counted.total()
            error = f"{score.error:+.1%}" if truth else "-"
            rest = f"{score.wrong:6}{score.false:7}{score.switches:10}{score.late_classified:6}"
            print(f"{name:12}{fps:4.0f}{truth:7}{counted:9}{error:>8}{rest}", flush=True)


if __name__ == "__main__":
    main()
