"""Count the images that the daemon has opened, as reported by the kernel (inotify(7)).

The count is independent of the daemon: it stays correct when the daemon is killed.
"""

from pathlib import Path

from inotify_simple import INotify, flags

from benchmarks.faults.scripted_walks import index_of


class OpenedFiles:
    """Number of images of a folder that were opened since the last `reset`."""

    def __init__(self, folder: Path) -> None:
        self._inotify = INotify()
        self._inotify.add_watch(str(folder), flags.OPEN)
        self._opened: set[int] = set()

    def reset(self) -> None:
        """Begin to count for a new start of the daemon."""
        self.count()
        self._opened.clear()

    def count(self) -> int:
        """Return how many images were opened; RuntimeError unless they were opened in order and without a gap."""
        events = self._inotify.read(timeout=0)
        if any(event.mask & flags.Q_OVERFLOW for event in events):
            raise RuntimeError("inotify: events were lost; count() must be called more often")
        self._opened.update(index_of(event.name) for event in events if event.name)
        if self._opened and len(self._opened) != max(self._opened) + 1:
            raise RuntimeError(f"{len(self._opened)} images were opened, but the last has index {max(self._opened)}")
        return len(self._opened)

    def close(self) -> None:
        """Stop watching the folder."""
        self._inotify.close()
