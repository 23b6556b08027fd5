"""Which pairs of a sparse table of gains are chosen, so that nobody is chosen twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def assign(
    rows: NDArray[np.intp], cols: NDArray[np.intp], gains: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return the pairs of the one-to-one assignment with the largest total gain.

    Each connected component of the pairs is solved by itself, so a plane of thousands of objects
    is thousands of small problems.

    Parameters
    ----------
    rows, cols
        (K,) what each pair joins.
    gains
        (K,) positive; a pair that is left out gains nothing.

    Returns
    -------
    Positions of the chosen pairs, in [0, K), ascending.

    References
    ----------
    `scipy.optimize.linear_sum_assignment`.

    Examples
    --------
    >>> import numpy as np
    >>> assign(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.8, 0.7]))
    array([1, 2])
    """
    from scipy.optimize import linear_sum_assignment

    chosen = [np.empty(0, np.intp)]
    for edges in _components(rows, cols):
        if len(edges) == 1:
            chosen.append(edges)
            continue
        row_names, row = np.unique(rows[edges], return_inverse=True)
        col_names, col = np.unique(cols[edges], return_inverse=True)
        table = np.zeros((len(row_names), len(col_names)))
        table[row, col] = gains[edges]
        best = np.full(len(row_names), -1)
        best_rows, best_cols = linear_sum_assignment(table, maximize=True)
        best[best_rows] = best_cols
        chosen.append(edges[best[row] == col])
    return np.sort(np.concatenate(chosen))


def _components(rows: NDArray[np.intp], cols: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the positions of the pairs, by connected component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(rows):
        return []
    first_col = int(rows.max()) + 1
    size = first_col + int(cols.max()) + 1
    graph = coo_array((np.ones(len(rows)), (rows, cols + first_col)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][rows]
    order = np.argsort(component, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
