"""What became of each linked object: where it begins and ends, where it is missing, what it left.

The table is a plain dict of columns, one row per linked label. It grows with the number of
objects, never with that of planes or pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

COLUMNS = ("label", "series", "first", "last", "planes", "missed", "parent", "merged_into")
"""Columns of a lineage table, in order."""


class Event(NamedTuple):
    """What happened to an object besides going on.

    Attributes
    ----------
    plane
        Number of the plane where it shows: its position, or counted from 0 over all planes that
        were pushed.
    kind
        ``"split"``: `label` goes on, and `other` is a new object that came out of it.
        ``"merge"``: `label` goes on, and `other` ended inside it. ``"gap"``: `label` is back after
        `missed` planes.
    label, other
        Linked labels; `other` is 0 for a gap.
    missed
        Number of planes that the object was not seen on.
    """

    plane: int
    kind: Literal["split", "merge", "gap"]
    label: int
    other: int = 0
    missed: int = 0


class Lineage:
    """The lineage table of linked objects, written plane by plane.

    Examples
    --------
    >>> lineage = Lineage()
    >>> lineage.add(0, [1])
    >>> lineage.add(1, [1, 2], [Event(1, "split", 1, 2)])
    >>> lineage.table()["parent"]
    array([0, 1])
    """

    def __init__(self) -> None:
        self.series = 0
        self._rows = np.zeros((0, len(COLUMNS)), np.int64)  # room for more than are in use
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, plane: int, labels: ArrayLike, events: Iterable[Event] = ()) -> None:
        """Note which linked labels, (N,) from 1, a plane holds, and what happened on it."""
        present = np.asarray(labels, np.int64).reshape(-1)
        self._count = max(self._count, int(present.max(initial=0)))
        if self._count > len(self._rows):
            self._rows = np.pad(self._rows, ((0, self._count), (0, 0)))  # at least doubles
        rows = present - 1
        table = self._columns()
        fresh = rows[table["planes"][rows] == 0]
        table["label"][fresh] = fresh + 1
        table["series"][fresh] = self.series
        table["first"][fresh] = plane
        table["last"][rows] = plane
        table["planes"][rows] += 1
        for event in events:
            if event.kind == "gap":
                table["missed"][event.label - 1] += event.missed
            elif event.kind == "split" and not table["parent"][event.other - 1]:
                table["parent"][event.other - 1] = event.label
            elif event.kind == "merge":
                table["merged_into"][event.other - 1] = event.label

    def table(self) -> dict[str, NDArray[np.int64]]:
        """Return a copy of the table so far.

        Returns
        -------
        Columns of (N,) int64, one row per label, ascending:

        - ``label``: the linked label.
        - ``series``: which series it belongs to, 0 up to the first `Linker.reset`.
        - ``first``, ``last``: the planes where it begins and ends.
        - ``planes``: on how many it was seen; ``missed``: on how many between it was not.
        - ``parent``: the label that it came out of, ``merged_into``: the one it ended in; 0: none.
        """
        return {name: column[: self._count].copy() for name, column in self._columns().items()}

    @classmethod
    def from_table(cls, table: Mapping[str, ArrayLike], series: int = 0) -> Lineage:
        """Return a lineage that goes on where a table of all labels from 1 ended."""
        lineage = cls()
        lineage._rows = np.stack([np.asarray(table[name], np.int64) for name in COLUMNS], 1)
        lineage._count = len(lineage._rows)
        lineage.series = series
        return lineage

    def _columns(self) -> dict[str, NDArray[np.int64]]:
        """Return views of the columns, with the room that is not in use."""
        return dict(zip(COLUMNS, self._rows.T, strict=True))
