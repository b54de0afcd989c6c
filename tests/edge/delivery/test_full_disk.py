"""While the disk is full: what is in the spool still goes out, what is dropped is counted exactly."""

import os
import random
import sqlite3
import subprocess
from contextlib import contextmanager

import pytest

from edge import pipeline as pipeline_module
from edge.delivery import outbox
from edge.delivery.publish import Identity, Publisher
from edge.delivery.spool import opened
from edge.errors import SpoolError
from edge.settings import PublishSettings
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.fakes import MODEL, counts, each_frame, lines_of
from tests.support.scripted import ScriptedFaces, scripted_pipeline

ME = Identity("shop-1", "door", "1" * 16)
MEMORY = pipeline_module.MAX_BUFFERED_WINDOWS


@contextmanager
def small_disk(folder):
    """A disk of a megabyte, and a function that fills it; another that makes room."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "facetally-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    filler = folder / "filler"

    def fill():
        with filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(512))
            except OSError:
                pass

    try:
        yield fill, filler.unlink
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_what_memory_has_no_room_for_is_counted():
    """Thirty windows more than memory holds end while the disk refuses: the thirty oldest are dropped, and counted."""
    faces = ScriptedFaces(lambda time: [])

    def items():
        for frame in faces.frames(each_frame(1, 0, MEMORY + 40)):
            kept.full = 5 < frame.time < MEMORY + 35.5
            yield frame

    pipeline, kept = scripted_pipeline(faces, items(), window_s=1.0)
    with lines_of("edge.pipeline") as said:
        pipeline.run()
    seconds = [round((window.start - kept.windows[0].start).total_seconds()) for window in kept.windows]
    lost = sorted(set(range(MEMORY + 40)) - set(seconds))
    assert kept.dropped == len(lost) == 30
    assert lost == list(range(lost[0], lost[0] + 30))
    assert seconds == sorted(seconds)
    assert f"dropped={kept.dropped}" in said[-2]
    assert said[-1] == "event=spool_works"
    assert pipeline.dropped == 30  # the daemon's last word: nothing is left in memory


def test_a_full_disk_keeps_nothing_from_being_sent():
    """The broker is served with each frame while windows cannot be stored."""
    faces = ScriptedFaces(lambda time: [])
    pipeline, kept = scripted_pipeline(faces, faces.frames(each_frame(1, 0, 130)))
    kept.full = True
    pipeline.run()
    assert kept.pumped >= 130
    assert pipeline.dropped == 3  # of 60, 60 and 10 seconds: in memory when the source ended


def test_a_drop_that_the_disk_took_back_is_not_counted(tmp_path):
    """A spool at its bound on a disk that fills: windows that stay in it are not said to be dropped."""
    with small_disk(tmp_path / "disk") as (fill, make_room), opened(tmp_path / "disk" / "spool.sqlite", 50) as spool:
        for minute in range(50):
            spool.add(counts(minute, 6))
        fill()
        refused = 0
        for minute in range(50, 100):
            try:
                spool.add(counts(minute, 6))
            except SpoolError:
                refused += 1
        assert refused > 0
        assert spool.dropped == 50 - refused
        assert spool.depth() == 50
        make_room()
        spool.add(counts(100, 6))
        assert (spool.depth(), spool.dropped) == (50, 51 - refused)


@needs_mosquitto
def test_windows_that_cannot_be_deleted_are_not_sent_again_and_again(tmp_path):
    """The broker has them, the disk does not let them go: each is sent once, and deleted when that works."""
    port = free_port()
    with mosquitto(tmp_path, port), opened(tmp_path / "spool.sqlite", 50) as spool:
        for minute in range(5):
            spool.add(counts(minute, 6))
        stubborn = sqlite3.connect(tmp_path / "spool.sqlite", isolation_level=None)
        stubborn.execute("BEGIN IMMEDIATE")  # deleting fails as it does on a full disk
        publisher = Publisher(
            PublishSettings(host="127.0.0.1", port=port, confirm="broker"), ME, MODEL, random.Random(1)
        )
        try:
            wait_until(lambda: (publisher.pump(spool), publisher._outbox.unconfirmed)[1] == 5, "all are acknowledged")
            last = publisher._client.publish("probe").mid
            for sent in publisher._outbox._sent.values():
                sent.taken -= outbox.KEPT_S
            publisher.pump(spool)
            assert publisher._client.publish("probe").mid == last + 1  # nothing of ours in between
            assert spool.depth() == 5
            stubborn.execute("ROLLBACK")
            publisher.pump(spool)
            assert spool.depth() == 0
        finally:
            stubborn.close()
            publisher.close()


@needs_mosquitto
def test_a_window_acknowledged_just_before_the_broker_died_is_sent_again(tmp_path):
    """Mosquitto acknowledges before it saves: what it had for less than two seconds is not taken for delivered."""
    port = free_port()
    with opened(tmp_path / "spool.sqlite", 50) as spool:
        publisher = Publisher(
            PublishSettings(host="127.0.0.1", port=port, confirm="broker"), ME, MODEL, random.Random(1)
        )

        def until(fact, what):
            wait_until(lambda: (publisher.pump(spool), fact())[1], what)

        try:
            with mosquitto(tmp_path, port) as broker:
                until(lambda: publisher.connected, "connected")
                spool.add(counts(0, 6))
                until(lambda: publisher._outbox.unconfirmed, "acknowledged")
                broker.kill()
                until(lambda: not publisher.connected, "lost")
            assert spool.depth() == 1
            with mosquitto(tmp_path, port):
                until(lambda: publisher._outbox.unconfirmed, "acknowledged again")
                until(lambda: spool.depth() == 0, "and gone for good")
        finally:
            publisher.close()
