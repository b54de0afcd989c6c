"""The kernel's word on which pictures the daemon has opened (inotify(7)): no part of the daemon is asked."""

from pathlib import Path

from inotify_simple import INotify, flags

from benchmarks.faults.scripted_walks import indices


class Asked:
    """Counts the pictures of a folder that were opened since the last `begin`."""

    def __init__(self, folder: Path) -> None:
        self._inotify = INotify()
        self._inotify.add_watch(str(folder), flags.OPEN)
        self._seen: set[int] = set()

    def begin(self) -> None:
        """From here on it is a new start of the daemon."""
        self.frames()
        self._seen.clear()

    def frames(self) -> int:
        """How many pictures were opened; they are opened in order, without a gap, or this is an error."""
        events = self._inotify.read(timeout=0)
        if any(event.mask & flags.Q_OVERFLOW for event in events):
            raise RuntimeError("the kernel lost count of the pictures opened; ask more often")
        self._seen.update(indices([event.name for event in events if event.name]))
        if self._seen and len(self._seen) != max(self._seen) + 1:
            raise RuntimeError(f"{len(self._seen)} pictures opened, the last is number {max(self._seen)}")
        return len(self._seen)

    def close(self) -> None:
        """Watch no longer."""
        self._inotify.close()
