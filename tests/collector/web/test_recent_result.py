"""A result that has become old is returned at once and computed again beside."""

import threading

import pytest

from collector.web.recent_result import RecentResults
from tests.support.brokers import wait_until


def test_an_old_result_is_returned_while_a_new_one_is_computed() -> None:
    """The new one follows, computed once for all who ask; a result older than allowed is waited for."""
    results, gate, computed = RecentResults(4, 60.0), threading.Event(), list[int]()

    def slow() -> str:
        gate.wait(10)
        computed.append(1)
        return "new"

    assert results.get("visits", "1", lambda: "old") == "old"
    assert [results.get("visits", "2", slow) for _ in range(20)] == ["old"] * 20
    gate.set()
    wait_until(lambda: results.get("visits", "2", slow) == "new", "the new result is there")
    assert len(computed) == 1
    strict = RecentResults(4, 0.0)
    assert [strict.get("visits", stamp, lambda stamp=stamp: stamp) for stamp in ("1", "2")] == ["1", "2"]  # type: ignore[misc]


def test_a_failure_is_not_kept() -> None:
    """While a new result fails the next request gets the error, and a good one afterwards."""
    results = RecentResults(4, 60.0)
    results.get("visits", "1", lambda: 1)
    results.get("visits", "2", lambda: 1 // 0)

    def fails() -> bool:
        try:
            results.get("visits", "2", lambda: 1 // 0)
        except ZeroDivisionError:
            return True
        return False

    wait_until(fails, "the failure is answered")
    with pytest.raises(ZeroDivisionError):
        results.get("visits", "2", lambda: 1 // 0)
    assert results.get("visits", "2", lambda: 7) == 7
