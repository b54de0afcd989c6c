"""Valid labels and ids, and how topics are built and parsed."""

import pytest

from contract.errors import TopicError
from contract.labels import EXPRESSIONS, UNKNOWN, check_labels, labelset
from contract.topics import KINDS, Address, address, check_id, subscription, topic

BAD_IDS = ["a/b", "", "+", "#", "a+", "x" * 65, "münchen", ".hidden", "-a", "_a", "a b", "a\n", "a\x00", "\uff41"]


@pytest.mark.parametrize("labels", [EXPRESSIONS, ("calm", "busy"), ("a", "b" * 32), tuple(f"l{n}" for n in range(32))])
def test_labels_are_two_to_thirty_two_lower_case_words(labels):
    """Valid labels are returned unchanged, in order."""
    assert check_labels(iter(labels)) == labels


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((), "2 to 32 labels, not 0"),
        (("one",), "2 to 32 labels, not 1"),
        (tuple(f"l{n}" for n in range(33)), "not 33"),
        (("calm", "Busy"), "'Busy'"),
        (("calm", "ärger"), "'ärger'"),
        (("calm", "2nd"), "'2nd'"),
        (("calm", "a b"), "'a b'"),
        (("calm", "busy\n"), r"'busy\\n'"),
        (("calm", ""), "''"),
        (("calm", "x" * 33), "at most 32 characters"),
        (("calm", UNKNOWN), "reserved"),
        (("calm", "busy", "calm"), "must be unique"),
    ],
)
def test_bad_label_is_named(labels, expected):
    """The error expected what is wrong with a set of labels."""
    with pytest.raises(ValueError, match=expected):
        check_labels(labels)


def test_labelset_knows_labels_and_their_order():
    """The hash depends on every label and on the order, and that of the shipped set stays: files are named by it.

    Two sets with the same first eight digits, which once named the files, differ in the other digits.
    """
    assert labelset((*EXPRESSIONS, UNKNOWN)) == "9e2476d9d39d4dfb012e5db5c2401df0"
    assert labelset(("l604d", "m", UNKNOWN))[:8] == labelset(("l6943", "m", UNKNOWN))[:8]
    assert labelset(("l604d", "m", UNKNOWN)) != labelset(("l6943", "m", UNKNOWN))
    others = [("a", "b"), ("b", "a"), ("a", "b", "c"), ("ab",), ("a\nb",)]
    assert len({labelset(each) for each in others[:4]}) == 4
    assert all(len(labelset(each)) == 32 and int(labelset(each), 16) >= 0 for each in others)


@pytest.mark.parametrize("good", ["a", "A", "7", "shop-1", "shop.2_b", "x" * 64])
def test_good_id_is_itself(good):
    """An id has 1 to 64 letters, digits, dots, underscores and hyphens."""
    assert check_id("site", good) == good
    assert address(topic(good, good, "counts")) == Address(good, good, "counts")


@pytest.mark.parametrize("bad", BAD_IDS)
def test_bad_id_is_a_topic_error(bad):
    """An id that would break a topic or a folder name is rejected; the error names it and its value."""
    with pytest.raises(TopicError, match=r"^site ") as error:
        check_id("site", bad)
    assert repr(bad) in str(error.value)
    with pytest.raises(TopicError, match=r"^device "):
        topic("shop", bad, "counts")


def test_topic_is_the_one_of_the_contract():
    """A topic has the form ``facetally/v1/<site>/<device>/<kind>``, and the filter matches it."""
    assert topic("shop-1", "door", "counts") == "facetally/v1/shop-1/door/counts"
    assert KINDS == ("counts", "status", "model", "health", "shadow")
    assert subscription("status") == "facetally/v1/+/+/status"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "facetally/v1",
        "facetally/v1/",
        "facetally/v2/a/b/counts",
        "facetally/v1/a/counts",
        "facetally/v1/a/b/c/counts",
        "facetally/v1/a/b/images",
        "facetally/v1/a/b/counts/",
        "facetally/v1//b/counts",
        "facetally/v1/+/b/counts",
        "x/facetally/v1/a/b/counts",
        "a/b/counts",
    ],
)
def test_foreign_topic_is_a_topic_error(bad):
    """A topic outside the contract cannot be parsed."""
    with pytest.raises(TopicError):
        address(bad)


def test_unknown_kind_is_a_topic_error():
    """No topic can be built for a kind that the contract does not define."""
    with pytest.raises(TopicError, match="counts, status, model, health"):
        topic("a", "b", "images")
