"""Numbers for names, so that windows can be summed up by array index."""

from collections.abc import Hashable, Iterable

import numpy as np
import pyarrow as pa

from collector.store.intervals import Ints

_BITS = 32


class Interned:
    """Gives each name a number from 0 on, in order of appearance, and never forgets one."""

    def __init__(self) -> None:
        self.names: list[Hashable] = []
        """The names by their numbers."""
        self._numbers: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def find(self, name: Hashable) -> int | None:
        """Return the number of a name, None if it has none."""
        return self._numbers.get(name)

    def number(self, name: Hashable) -> int:
        """Return the number of a name, a new one if it has none."""
        found = self._numbers.setdefault(name, len(self.names))
        if found == len(self.names):
            self.names.append(name)
        return found

    def numbers(self, names: Iterable[Hashable]) -> Ints:
        """Return the numbers of names."""
        return np.array([self.number(name) for name in names], np.int64)

    def of_column(self, column: pa.ChunkedArray) -> Ints:
        """Return the number of each text of a column."""
        codes, texts = coded(column)
        return self.numbers(texts)[codes]

    def pair(self, number: int) -> tuple[int, int]:
        """Return the pair of numbers that `of_pairs` has given this number."""
        one, other = self.names[number]  # type: ignore[misc]
        return int(one), int(other)  # type: ignore[has-type]

    def of_pairs(self, one: Ints, other: Ints) -> Ints:
        """Return the number of each pair of numbers."""
        pairs, rows = np.unique(one << _BITS | other, return_inverse=True)
        names = [(pair >> _BITS, pair & (2**_BITS - 1)) for pair in pairs.tolist()]
        return self.numbers(names)[rows]


def coded(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Return the different texts of a column, and for each row the index of its text."""
    encoded = (
        pa.concat_arrays(column.chunks).dictionary_encode()
        if column.num_chunks != 1
        else (column.chunk(0).dictionary_encode())
    )
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
