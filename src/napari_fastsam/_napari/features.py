"""Tables about labels as columns of a Labels layer's features, in step with undo.

Rows and columns of a person's own stay. A table belongs to the step that it tells of: it leaves
with the step when that is undone, and comes back with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_fastsam.history import History, Step

Table = dict[str, "NDArray[Any]"]
"""A column ``label`` of integers and others, (N,) each."""

_DTYPES = {int: np.int64, float: np.float64, str: object}


@dataclass(slots=True, eq=False)
class _Told:
    """What was told of a step."""

    step: Step
    table: Table
    undone: bool = False


class Features:
    """What is told of the objects of a Labels layer, shown in its features.

    Parameters
    ----------
    labels
        The layer.
    columns
        What each table tells, besides the labels, and of which type that is.
    inherited
        Columns whose value in an earlier table stays where a later one says 0.
    """

    def __init__(
        self, labels: Labels, columns: Mapping[str, type], *, inherited: Sequence[str] = ()
    ) -> None:
        self.columns = dict(columns)
        self._labels, self._inherited = labels, tuple(inherited)
        self._told: list[_Told] = []
        self._shown: list[_Told] = []
        self._added: set[int] = set()  # labels whose rows came with a table

    def tell(self, step: Step, table: Table) -> None:
        """Take a table about what a step did, in place of what was told of it before."""
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
        rows: dict[int, dict[str, Any]] = {}
        for told in self._shown:
            values = {name: told.table[name].tolist() for name in self.columns}
            for n, label in enumerate(told.table["label"].tolist()):
                row = {name: column[n] for name, column in values.items()}
                before = rows.get(label, row)
                rows[label] = row | {name: row[name] or before[name] for name in self._inherited}
        labels = sorted(rows)
        return {
            "label": np.array(labels, np.int64),
            **{
                name: np.array([rows[label][name] for label in labels], _DTYPES[kind])
                for name, kind in self.columns.items()
            },
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
        new = pd.DataFrame({name: table[name] for name in self.columns}, index=table["label"])
        own = [name for name in self.columns if name in rest]
        gone = rest.index.isin(sorted(self._added))
        rest.loc[gone, own] = np.nan
        rest = rest[~(gone & rest.isna().all(axis=1))]
        self._added = set(new.index)
        whole = rest.reindex(rest.index.union(new.index))
        for name, kind in self.columns.items():
            column = whole[name] if name in whole else pd.Series(np.nan, whole.index)
            there = whole.index.isin(new.index)
            column = new[name].reindex(whole.index).where(there, column)
            whole[name] = _whole_numbers(column) if kind is int else column
        whole = whole.drop(columns=[name for name in self.columns if whole[name].isna().all()])
        whole.index.name = "index"
        self._labels.features = whole.reset_index()


def _whole_numbers(column: Any) -> Any:
    """Return a column as integers, if each row has one."""
    return column if column.isna().any() else column.astype(np.int64)
