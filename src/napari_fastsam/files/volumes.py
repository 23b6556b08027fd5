"""What is measured of objects that go through planes: sums, as the planes come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam.files.chunks import label_plane
from napari_fastsam.files.columns import Ruler, intensity_columns, plane_columns
from napari_fastsam.files.neighbours import windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fastsam.files.readers import Image
    from napari_fastsam.told import Found


class Volumes:
    """The objects of a series of planes; memory follows their number, not their size.

    Parameters
    ----------
    image, name
        As in `measurements.measure`.
    letters
        The axes that are stepped through.
    along
        Which of them the objects go through.
    """

    def __init__(self, image: Image, name: str, letters: str, along: int) -> None:
        self._image, self._name, self._letters, self._along = image, name, letters, along
        self._channels = intensity_columns(image)
        self._sums: dict[int, NDArray[np.float64]] = {}  # pixels, positions, intensities
        self._low: dict[int, NDArray[np.float64]] = {}  # positions, intensities
        self._high: dict[int, NDArray[np.float64]] = {}
        self._scores: dict[int, float] = {}
        self._found: dict[int, Found] = {}

    def add(
        self,
        index: tuple[int, ...],
        labels: Any,
        scores: Callable[[tuple[int, ...]], Mapping[int, float]] | None = None,
        found: Callable[[tuple[int, ...]], Mapping[int, Found]] | None = None,
    ) -> None:
        """Add the plane at `index`: labels, scores and found as in `measurements.measure`."""
        axes = self._image.axes
        known: Mapping[int, float] | None = None
        seen: set[int] = set()
        for window in windows(axes.plane_shape):
            part = label_plane(axes, labels, index, window)
            if part.any():
                if known is None:
                    known = scores(index) if scores else {}
                pixels = axes.read(self._image.data, index, window)
                start = (index[self._along], window[0].start, window[1].start)
                self._add(start, part, pixels, known)
                seen.update(map(int, np.unique(part)))
        for label, told in (found(index) if found and seen else {}).items():
            best = self._found.get(label, told)
            if label in seen:
                self._found[label] = max(best, told, key=lambda one: one.likeness or 0.0)

    def _add(
        self,
        start: tuple[int, int, int],
        labels: NDArray[Any],
        intensities: NDArray[Any],
        scores: Mapping[int, float],
    ) -> None:
        """Add a part of a plane, whose first pixel is at `start`.

        (h, w) labels, (h, w) or (h, w, C) intensities, scores by label.
        """
        rows, columns = np.nonzero(labels)
        values, first, number = np.unique(
            labels[rows, columns], return_index=True, return_inverse=True
        )
        at = np.full(len(rows), start[0])
        pixels = intensities.reshape(*labels.shape, -1)[rows, columns].T
        figures = np.array([at, rows + start[1], columns + start[2], *pixels], np.float64)
        counts = np.bincount(number)
        sums = [np.bincount(number, figure) for figure in figures]
        low, high = figures[:, first], figures[:, first]
        for n, figure in enumerate(figures):
            np.fmin.at(low[n], number, figure)
            np.fmax.at(high[n], number, figure)
        for n, value in enumerate(map(int, values)):
            these = np.array([counts[n], *(total[n] for total in sums)])
            if value in self._sums:
                self._sums[value] += these
                self._low[value] = np.fmin(self._low[value], low[:, n])
                self._high[value] = np.fmax(self._high[value], high[:, n])
            else:
                self._sums[value], self._low[value] = these, low[:, n]
                self._high[value] = high[:, n]
            if value in scores:
                self._scores[value] = max(scores[value], self._scores.get(value, 0.0))

    def rows(self, series: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the figures of each object, by label; `series` is the position before `along`."""
        ruler = Ruler.of(self._image.calibration, f"{self._letters[self._along]}YX")
        where = plane_columns(self._image, self._letters[: self._along], series)
        for label in sorted(self._sums):
            count, *sums = self._sums[label].tolist()
            low, high = self._low[label].tolist(), self._high[label].tolist()
            row = {"image": self._name, "label": label, **where}
            row |= {"score": self._scores[label]} if label in self._scores else {}
            row |= self._found[label].columns if label in self._found else {}
            row |= ruler.sizes(int(count))
            row |= ruler.positions("centroid", [total / count for total in sums[:3]])
            row |= ruler.boxes(list(map(int, low[:3])), [int(at) + 1 for at in high[:3]])
            for n, channel in enumerate(self._channels, start=3):
                row |= {
                    f"intensity_mean{channel}": sums[n] / count,
                    f"intensity_min{channel}": low[n],
                    f"intensity_max{channel}": high[n],
                }
            yield row
