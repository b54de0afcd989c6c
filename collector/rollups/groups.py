"""The groups of devices whose cells may be summed together, because the same matrix corrects them."""

import hashlib
from collections.abc import Mapping, Sequence

from collector.rollups.fleet_sums import Sender

NO_GROUP = ""
"""Name of the group of devices without a matrix."""
DIGITS = 16


class Groups:
    """Names of groups. Two objects with equal names of some devices give the same key for them."""

    def __init__(self, names: Mapping[Sender, str]) -> None:
        self._names = names
        self.all_key = self.key(sorted(names))
        """Changes when any name does."""

    def name(self, sender: Sender) -> str:
        """Return the name of the group of a device with a classifier."""
        return self._names.get(sender, NO_GROUP)

    def key(self, senders: Sequence[Sender]) -> str:
        """Return a key for file names, which changes when the group of one of the devices does."""
        text = "\n".join("\t".join((*sender, self.name(sender))) for sender in senders)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
