"""A result that has become old is returned at once and computed again beside."""

import threading

import pytest

from collector.web.recent_result import RecentResults
from tests.support.brokers import LIMIT_S, wait_until


def len_of(result: object) -> int:
    """Return the size of a result of these tests."""
    return len(str(result))


def test_an_old_result_is_returned_while_a_new_one_is_computed() -> None:
    """The new one follows, computed once for all who ask; a result older than allowed is waited for."""
    results, gate, computed = RecentResults(10_000, 60.0, len_of), threading.Event(), list[int]()

    def slow() -> str:
        gate.wait(LIMIT_S)
        computed.append(1)
        return "new"

    assert results.get("visits", "1", lambda: "old") == "old"
    assert [results.get("visits", "2", slow) for _ in range(20)] == ["old"] * 20
    gate.set()
    wait_until(lambda: results.get("visits", "2", slow) == "new", "the new result is there")
    assert len(computed) == 1
    patient = RecentResults(10_000, 60.0, len_of, renew_after_s=30.0)
    assert [patient.get("visits", stamp, lambda stamp=stamp: stamp) for stamp in ("1", "2", "2")] == ["1"] * 3  # type: ignore[misc]
    strict = RecentResults(10_000, 0.0, len_of)
    assert [strict.get("visits", stamp, lambda stamp=stamp: stamp) for stamp in ("1", "2")] == ["1", "2"]  # type: ignore[misc]


def test_the_oldest_results_go_when_all_are_too_large() -> None:
    """Of three results of 4 kB the limit holds two; one that is larger than the limit is answered, and not kept."""
    results, computed = RecentResults(10_000, 60.0, len_of), list[str]()

    def made(name: str, size: int) -> str:
        def compute() -> str:
            computed.append(name)
            return "x" * size

        return results.get(name, "1", compute)

    for name in ("a", "b", "c", "b", "c", "a"):
        assert len(made(name, 4000)) == 4000
    assert computed == ["a", "b", "c", "a"]
    assert [len(made("large", 20_000)) for _ in range(2)] == [20_000] * 2
    assert computed[4:] == ["large", "large"]


def test_a_failure_is_not_kept() -> None:
    """While a new result fails the next request gets the error, and a good one afterwards."""
    results = RecentResults(10_000, 60.0, len_of)
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


def test_a_result_that_a_request_has_renewed_is_not_computed_again() -> None:
    """While one renewal lasts, a request that may not wait for the next computes its own; the next is then dropped."""
    results, gate, computed = RecentResults(10_000, 0.3, len_of), threading.Event(), list[str]()
    for key in ("slow", "other"):
        results.get(key, "1", lambda: "old")
    results.get("slow", "2", lambda: gate.wait(LIMIT_S))
    assert results.get("other", "2", lambda: computed.append("beside")) == "old"
    wait_until(lambda: results.get("other", "3", lambda: "own") == "own", "the request has computed it")
    gate.set()
    wait_until(lambda: not any(each.name == "renew" for each in threading.enumerate()), "all renewals have ended")
    assert computed == []
    assert results.get("other", "3", lambda: "again") == "own"
