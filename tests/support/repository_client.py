"""TUF's own client, which reads a release repository as devices do, from its folder."""

from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater


class FolderFetcher(FetcherInterface):
    """Reads files as a web server would serve them."""

    def __init__(self, folder):
        self._folder = folder

    def _fetch(self, url):
        path = self._folder / url.removeprefix("http://server/")
        if not path.is_file():
            raise DownloadHTTPError("no such file", 404)
        yield path.read_bytes()


class RepositoryClient:
    """A device with TUF's client and the first root of trust."""

    def __init__(self, repository, folder):
        self._repository, self._folder = repository, folder
        self._root = (repository / "metadata/1.root.json").read_bytes()
        (folder / "targets").mkdir(parents=True)

    def refreshed(self):
        """Return a client that has just verified the newest metadata."""
        fetcher = FolderFetcher(self._repository)
        places = str(self._folder / "metadata"), "http://server/metadata/"
        updater = Updater(
            *places, str(self._folder / "targets"), "http://server/targets/", fetcher, bootstrap=self._root
        )
        updater.refresh()
        return updater

    def get(self, path):
        """Verify and return a target; None if the repository has none of this path."""
        updater = self.refreshed()
        info = updater.get_targetinfo(path)
        return None if info is None else Path(updater.download_target(info)).read_bytes()
