"""While the disk is full, spooled windows are still sent, and dropped windows are counted exactly."""

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
from edge.settings import BrokerSettings
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.fakes import MODEL, counts, each_frame, lines_of
from tests.support.scripted import ScriptedFaces, scripted_pipeline

ME = Identity("shop-1", "door", "1" * 16)
MEMORY = pipeline_module.MAX_BUFFERED_WINDOWS


@contextmanager
def small_disk(folder):
    """Mount a disk of 1 MB; yield a function that fills it and one that makes room."""
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
    """If 30 windows more than memory holds end while the disk is full, the 30 oldest are dropped and counted."""
    faces = ScriptedFaces(lambda time: [])

    def items():
        for frame in faces.frames(each_frame(1, 0, MEMORY + 40)):
            kept.full = 5 < frame.time < MEMORY + 35.5
            yield frame

    pipeline, kept = scripted_pipeline(faces, items(), window_s=1.0)
    with lines_of("edge.pipeline") as logged:
        pipeline.run()
    seconds = [round((window.start - kept.windows[0].start).total_seconds()) for window in kept.windows]
    lost = sorted(set(range(MEMORY + 40)) - set(seconds))
    assert kept.dropped == len(lost) == 30
    assert lost == list(range(lost[0], lost[0] + 30))
    assert seconds == sorted(seconds)
    assert f"dropped={kept.dropped}" in logged[-2]
    assert logged[-1] == "event=spool_works"
    assert pipeline.dropped == 30  # nothing is left in memory


def test_a_full_disk_keeps_nothing_from_being_sent():
    """The broker is served for each frame while windows cannot be stored."""
    faces = ScriptedFaces(lambda time: [])
    pipeline, kept = scripted_pipeline(faces, faces.frames(each_frame(1, 0, 130)))
    kept.full = True
    pipeline.run()
    assert kept.pumped >= 130
    assert pipeline.dropped == 3  # of 60, 60 and 10 seconds: in memory when the source ended


def test_a_drop_that_the_disk_took_back_is_not_counted(tmp_path):
    """If the disk refuses an add, the windows that it would have dropped stay, and are not counted as dropped."""
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
    """Windows that are acknowledged but cannot be deleted are sent once, and deleted when that works."""
    port = free_port()
    with mosquitto(tmp_path, port), opened(tmp_path / "spool.sqlite", 50) as spool:
        for minute in range(5):
            spool.add(counts(minute, 6))
        blocker = sqlite3.connect(tmp_path / "spool.sqlite", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")  # deleting fails as it does on a full disk
        publisher = Publisher(
            BrokerSettings(host="127.0.0.1", port=port, confirm="broker"), ME, MODEL, random.Random(1)
        )
        try:
            wait_until(lambda: (publisher.pump(spool), publisher.unconfirmed)[1] == 5, "all are acknowledged")
            last = publisher.link.client.publish("probe").mid
            for sent in publisher._outbox._sent.values():
                sent.acknowledged -= outbox.KEEP_S
            publisher.pump(spool)
            assert publisher.link.client.publish("probe").mid == last + 1  # nothing of ours in between
            assert spool.depth() == 5
            blocker.execute("ROLLBACK")
            publisher.pump(spool)
            assert spool.depth() == 0
        finally:
            blocker.close()
            publisher.close()


@needs_mosquitto
def test_a_window_acknowledged_just_before_the_broker_died_is_sent_again(tmp_path):
    """Mosquitto acknowledges before it saves: a window acknowledged just before it died is sent again."""
    port = free_port()
    with opened(tmp_path / "spool.sqlite", 50) as spool:
        publisher = Publisher(
            BrokerSettings(host="127.0.0.1", port=port, confirm="broker"), ME, MODEL, random.Random(1)
        )

        def until(fact, what):
            wait_until(lambda: (publisher.pump(spool), fact())[1], what)

        try:
            with mosquitto(tmp_path, port) as broker:
                until(lambda: publisher.connected, "connected")
                spool.add(counts(0, 6))
                until(lambda: publisher.unconfirmed, "acknowledged")
                broker.kill()
                until(lambda: not publisher.connected, "lost")
            assert spool.depth() == 1
            with mosquitto(tmp_path, port):
                until(lambda: publisher.unconfirmed, "acknowledged again")
                until(lambda: spool.depth() == 0, "deleted")
        finally:
            publisher.close()
