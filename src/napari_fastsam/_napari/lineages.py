"""What became of linked objects, as columns of a Labels layer's features, in step with undo.

Rows and columns of a person's own stay. A table belongs to the step that it tells of: it leaves
with the step when that is undone, and comes back with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_fastsam.history import History, Step

COLUMNS = ("first", "last", "planes", "missed", "parent", "merged_into")
"""What is told of a label: the planes where it begins and ends, on how many it is and on how many
between it is not, the label that it came out of, and the one that it ended in; 0 for none."""

_INHERITED = ("parent", "merged_into")  # what following an object on does not know

Table = dict[str, "NDArray[np.int64]"]
"""A column ``label`` and those of `COLUMNS`, (N,) each."""


@dataclass(slots=True, eq=False)
class _Told:
    """What was told of a step."""

    step: Step
    table: Table
    undone: bool = False


class Lineages:
    """The lineage of the objects of a Labels layer, shown in its features.

    Parameters
    ----------
    labels
        The layer.
    """

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._told: list[_Told] = []
        self._shown: list[_Told] = []
        self._added: set[int] = set()  # labels whose rows came with a table

    def tell(self, step: Step, table: Table) -> None:
        """Take a table of what a step has linked, in place of what was told of it before."""
        self._told = [told for told in self._told if told.step is not step]
        self._told.append(_Told(step, table))

    def forget(self) -> None:
        """Forget all tables: the numbers mean other objects."""
        self._told.clear()

    def show(self, history: History) -> None:
        """Bring the layer's features in line with what is done and undone."""
        if not self._told and not self._shown:
            return
        done = {id(step) for step in history}
        kept = {id(step) for step in history.steps}
        for told in self._told:
            if id(told.step) in kept:
                told.undone = id(told.step) not in done
        # A step that is no longer kept stays done, unless it can be redone no more.
        self._told = [told for told in self._told if id(told.step) in kept or not told.undone]
        shown = [told for told in self._told if not told.undone]
        if shown != self._shown:
            self._shown = shown
            self._write(self.table())

    def table(self) -> Table:
        """Return what is told of each label, ascending; of two tables, the later one counts."""
        rows: dict[int, dict[str, int]] = {}
        for told in self._shown:
            for n, label in enumerate(told.table["label"].tolist()):
                row = {name: int(told.table[name][n]) for name in COLUMNS}
                before = rows.get(label, row)
                rows[label] = row | {name: row[name] or before[name] for name in _INHERITED}
        labels = sorted(rows)
        columns = {name: [rows[label][name] for label in labels] for name in COLUMNS}
        return {
            name: np.array(column, np.int64)
            for name, column in {"label": labels, **columns}.items()
        }

    def _write(self, table: Table) -> None:
        """Write a table into the layer's features, by their column ``index``."""
        import pandas as pd

        features = self._labels.features
        if "index" not in features:  # then napari takes row n to speak of label n
            features = features.assign(index=np.arange(len(features)))
        rest = features.set_index("index")
        if not rest.index.is_unique:
            return  # nobody knows which row speaks of a label
        new = pd.DataFrame({name: table[name] for name in COLUMNS}, index=table["label"])
        own = [name for name in COLUMNS if name in rest]
        gone = rest.index.isin(sorted(self._added))
        rest.loc[gone, own] = np.nan
        rest = rest[~(gone & rest.isna().all(axis=1))]
        self._added = set(new.index)
        whole = rest.reindex(rest.index.union(new.index))
        for name in COLUMNS:
            column = whole[name] if name in whole else pd.Series(np.nan, whole.index)
            whole[name] = _whole_numbers(new[name].reindex(whole.index).fillna(column))
        whole = whole.drop(columns=[name for name in COLUMNS if whole[name].isna().all()])
        whole.index.name = "index"
        self._labels.features = whole.reset_index()


def _whole_numbers(column: Any) -> Any:
    """Return a column as integers, if each row has one."""
    return column if column.isna().any() else column.astype(np.int64)


def of_run(
    lineage: Mapping[str, NDArray[np.int64]], numbers: Mapping[int, int], at: NDArray[np.int64]
) -> Table:
    """Return what a linker tells of the objects of a run, by the labels that they got.

    Parameters
    ----------
    lineage
        As `Linker.lineage` returns it, with planes counted from 0.
    numbers
        For each of its labels the one in the layer; those without are left out.
    at
        The position of each plane that it counts.
    """
    given = np.zeros(int(lineage["label"].max(initial=0)) + 1, np.int64)
    for label, number in numbers.items():
        if label < len(given):
            given[label] = number
    kept = given[lineage["label"]] > 0
    table = {name: lineage[name][kept] for name in ("label", *COLUMNS)}
    table |= {name: given[table[name]] for name in ("label", *_INHERITED)}
    return table | {name: at[table[name]] for name in ("first", "last")}


def of_object(label: int, planes: Collection[int]) -> Table:
    """Return what is known of an object that was followed: the planes that it is on."""
    first, last = min(planes), max(planes)
    row = (label, first, last, len(planes), last - first + 1 - len(planes), 0, 0)
    return {name: np.array([n]) for name, n in zip(("label", *COLUMNS), row, strict=True)}
