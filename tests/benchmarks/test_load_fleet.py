"""A small fleet with two collectors and all kills; `python -m benchmarks.load.fleet` runs a large one."""

from pathlib import Path

from benchmarks.load.fleet import Plan, compare, report, simulate
from tests.support.brokers import needs_mosquitto


@needs_mosquitto
def test_two_collectors_store_together_what_was_sent_despite_all_kills(tmp_path: Path) -> None:
    """Nothing is lost, never sent, or twice in one store, although collectors and broker are killed."""
    plan = Plan(devices=50, minutes=20, minute_s=0.4, collector_kills=1, broker_kills=1, resend_s=3.0)
    outcome = simulate(tmp_path, plan)
    assert outcome.is_right, report(plan, outcome)
    assert (outcome.expected, outcome.broker.kills) == (50 * 20, 1)
    assert [program.kills for program in outcome.collectors] == [1, 1]
    shares = [len(list(tmp_path.glob(f"{name}/store/date=*/site=*/*.csv"))) for name in ("one", "two")]
    assert min(shares) > 0, "both collectors have stored windows"


def test_every_difference_is_found() -> None:
    """A lost row, one that was never sent, one that is twice in a store, and one in both stores are told apart."""
    assert compare({"a", "b", "c"}, [["a", "a", "b"], ["b", "x"]]) == (1, 1, 1, 1)
    assert compare({"a", "b"}, [["a"], ["b"]]) == (0, 0, 0, 0)
