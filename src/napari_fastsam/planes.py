"""Which planes an array has, and what the network is shown of each.

Axes are named by letters: ``Y`` and ``X`` span the plane, ``C`` (or tifffile's ``S``) holds its
channels, every other axis is stepped through. The network sees 8-bit RGB, ``(H, W, 3)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

PERCENTILES = (0.1, 99.9)
"""What is black and what is white where nobody said: robust against hot and dead pixels."""

_SAMPLE = 1 << 18  # pixels that the percentiles are estimated from


def to_rgb(
    plane: NDArray[Any],
    *,
    contrast_limits: tuple[float, float] | None = None,
    gamma: float = 1.0,
    percentiles: tuple[float, float] = PERCENTILES,
) -> NDArray[np.uint8]:
    """Return a plane as the network sees it.

    Parameters
    ----------
    plane
        (H, W), (H, W, 3) or (H, W, 4) of any real dtype. The fourth channel, alpha, is ignored.
    contrast_limits
        Intensities that become 0 and 255; ``None`` takes `percentiles` of the finite pixels, all
        channels together. Colour of 8 bits, and floating-point colour within [0, 1], is then taken
        as it is.
    gamma
        Exponent on the intensities between the limits, as napari's.
    percentiles
        Lower and upper, in [0, 100].

    Returns
    -------
    (H, W, 3) uint8. NaN becomes black, infinities the end of the scale they are at, a constant
    plane black.

    Raises
    ------
    TypeError, ValueError
        If the plane is complex or no number, or has another number of axes or channels.

    Notes
    -----
    Percentiles are wrong for a plane that is empty but for noise: the noise is stretched to full
    contrast. Pass the contrast limits of the whole stack there.

    Examples
    --------
    >>> import numpy as np
    >>> to_rgb(np.array([[0, 500, 1000]], np.uint16), contrast_limits=(0, 1000))[..., 0]
    array([[  0, 128, 255]], dtype=uint8)
    """
    plane = _checked(plane)
    colour = plane.ndim == 3
    if colour:
        plane = plane[..., :3]
    if contrast_limits is None and colour:
        if plane.dtype == np.uint8 and gamma == 1:
            return np.ascontiguousarray(plane)
        if plane.dtype.kind == "f" and _within_unit(plane):
            contrast_limits = (0.0, 1.0)
    limits = contrast_limits or finite_percentiles(plane, percentiles)
    grey = _stretched(plane, limits, gamma)
    return grey if colour else np.repeat(grey[..., None], 3, axis=2)


def merge_channels(
    channels: Sequence[NDArray[Any]],
    *,
    contrast_limits: Sequence[tuple[float, float] | None] | None = None,
    gamma: float | Sequence[float] = 1.0,
    percentiles: tuple[float, float] = PERCENTILES,
) -> NDArray[np.uint8]:
    """Return up to three (H, W) channels as red, green and blue, each on its own scale.

    Parameters
    ----------
    channels
        One, two or three planes of the same shape; one is shown in grey.
    contrast_limits
        For each channel its limits, or ``None`` for its `percentiles`.
    gamma
        Exponent between the limits, for all channels or for each.
    percentiles
        Lower and upper, in [0, 100].

    Returns
    -------
    (H, W, 3) uint8.
    """
    fail_if(
        not 1 <= len(channels) <= 3,
        "one, two or three channels",
        f"{len(channels)}",
        "choose up to three to map to red, green and blue",
    )
    limits = contrast_limits or [None] * len(channels)
    gammas = gamma if isinstance(gamma, tuple | list) else [gamma] * len(channels)
    planes = [
        to_rgb(channel, contrast_limits=limit, gamma=exponent, percentiles=percentiles)[..., 0]
        for channel, limit, exponent in zip(channels, limits, gammas, strict=True)
    ]
    if len(planes) == 1:
        planes *= 3
    while len(planes) < 3:
        planes.append(np.zeros_like(planes[0]))
    return np.stack(planes, axis=-1)


def finite_percentiles(
    plane: NDArray[Any], percentiles: tuple[float, float] = PERCENTILES
) -> tuple[float, float]:
    """Return two percentiles of the finite pixels, from a regular sample of a large plane."""
    step = sample_step(plane.shape)
    return _percentiles_of(np.asarray(plane[::step, ::step]), percentiles)


def sample_step(shape: tuple[int, ...]) -> int:
    """Return which pixels of a plane of `shape` (H, W, …) are sampled: every so many each way."""
    return max(1, int(np.sqrt(shape[0] * shape[1] / _SAMPLE)))


def _percentiles_of(sample: NDArray[Any], percentiles: tuple[float, float]) -> tuple[float, float]:
    """Return two percentiles of the finite values."""
    values = sample[np.isfinite(sample)].astype(np.float64)
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, percentiles)
    if low == high:  # more than 99.8 % of the pixels are the same: objects may be the rest
        low, high = values.min(), values.max()
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class PlaneAxes:
    """How an array of named axes falls into planes.

    Parameters
    ----------
    axes
        One letter per axis of the array, as ``"ZYX"`` or ``"TZYXC"``; ``Y`` and ``X`` are needed.
    shape
        The array's shape.

    Examples
    --------
    >>> stack = PlaneAxes("ZYX", (2, 64, 64))
    >>> list(stack.indices()), stack.label_shape
    ([(0,), (1,)], (2, 64, 64))
    """

    axes: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", self.axes.upper())
        letters = set(self.axes)
        fail_if(
            len(letters) != len(self.axes)
            or not {"Y", "X"} <= letters
            or len(letters & {"C", "S"}) > 1
            or len(self.axes) != len(self.shape),
            "one different letter for each axis, Y and X among them, at most one of C and S",
            f"axes {self.axes!r} for an array of shape {self.shape}",
            'name the axes in the order of the shape, as "ZYX" or "TZYXC"',
        )
        channels = self.shape[self.channel] if self.channel is not None else 1
        fail_if(
            channels > 4 or channels == 0,
            "one to four channels on axis C",
            f"{channels}, with axes {self.axes!r} for shape {self.shape}",
            "choose the channels first, or name that axis Z to treat each as its own plane",
        )

    @classmethod
    def guess(cls, shape: tuple[int, ...]) -> PlaneAxes:
        """Return the usual axes for `shape`: a last axis of 3 or 4 is colour, before it TZYX."""
        colour = len(shape) > 2 and shape[-1] in (3, 4)
        spatial = len(shape) - colour
        fail_if(
            not 2 <= spatial <= 4,
            "an image of two to four axes, besides colour",
            f"shape {shape}",
            'name its axes, as axes="QTZYX"',
        )
        return cls("TZYX"[-spatial:] + "C" * colour, shape)

    @property
    def channel(self) -> int | None:
        """Position of the channel axis, or None."""
        return next((n for n, letter in enumerate(self.axes) if letter in "CS"), None)

    @property
    def steps(self) -> tuple[int, ...]:
        """Positions of the axes that are stepped through."""
        return tuple(n for n, letter in enumerate(self.axes) if letter not in "YXCS")

    @property
    def along(self) -> int | None:
        """Which of `steps` objects are followed along: the last that is longer than one plane."""
        long = [n for n, step in enumerate(self.steps) if self.shape[step] > 1]
        return long[-1] if long else None

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of a label image of the whole array: the array's, without its channels."""
        return tuple(size for n, size in enumerate(self.shape) if n != self.channel)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(H, W) of each plane."""
        return self.shape[self.axes.index("Y")], self.shape[self.axes.index("X")]

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Yield the position of every plane on the stepped axes, the last axis fastest."""
        return product(*(range(self.shape[n]) for n in self.steps))

    def key(
        self, index: tuple[int, ...], window: tuple[slice, slice] | None = None
    ) -> tuple[int | slice, ...]:
        """Return what indexes the plane at `index` in a label image of the whole array.

        Of the plane only `window`, its rows and columns, if that is given.
        """
        at: dict[int, int | slice] = dict(zip(self.steps, index, strict=True))
        if window is not None:
            at |= {self.axes.index("Y"): window[0], self.axes.index("X"): window[1]}
        return tuple(at.get(n, slice(None)) for n in range(len(self.axes)) if n != self.channel)

    def read(
        self, array: Any, index: tuple[int, ...], window: tuple[slice, slice] | None = None
    ) -> NDArray[Any]:
        """Return one plane, (H, W) or (H, W, C), reading nothing else of a lazy array.

        Of the plane only `window`, its rows and columns, if that is given.
        """
        at: dict[int, int | slice] = dict(zip(self.steps, index, strict=True))
        if window is not None:
            at |= {self.axes.index("Y"): window[0], self.axes.index("X"): window[1]}
        plane: NDArray[Any] = np.asarray(
            array[tuple(at.get(n, slice(None)) for n in range(len(self.axes)))]
        )
        left = [letter for letter in self.axes if letter in "YXCS"]
        wanted = ["Y", "X", *(letter for letter in left if letter in "CS")]
        return plane.transpose([left.index(letter) for letter in wanted])

    def write(
        self,
        labels: Any,
        index: tuple[int, ...],
        plane: NDArray[Any],
        window: tuple[slice, slice] | None = None,
    ) -> None:
        """Write the labels of one plane, or of a window of it, into those of the whole array."""
        upright = self.axes.index("Y") < self.axes.index("X")
        labels[self.key(index, window)] = plane if upright else plane.T


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """How the intensities of a plane become the 8-bit RGB that the network sees.

    Parameters
    ----------
    contrast_limits
        ``None`` for percentiles of each plane, ``(low, high)`` for all channels, or one pair (or
        ``None``) for each channel.
    gamma
        Exponent between the limits, as napari's; one for each channel where the limits are.
    percentiles
        What is black and what is white where no limits are given: lower and upper, in [0, 100].

    Raises
    ------
    ValueError
        If the percentiles are no such pair, or there is a gamma for each channel without limits.
    """

    contrast_limits: tuple[Any, ...] | None = None
    gamma: float | tuple[float, ...] = 1.0
    percentiles: tuple[float, float] = PERCENTILES

    def __post_init__(self) -> None:
        low, high = self.percentiles
        fail_if(
            not 0 <= low < high <= 100,
            "two percentiles from 0 to 100, the lower one first",
            f"{self.percentiles}",
            f"pass percentiles={PERCENTILES}, or contrast limits",
        )
        fail_if(
            isinstance(self.gamma, tuple)
            and not (self._each and len(self.gamma) == len(self.contrast_limits or ())),
            "as many gammas as pairs of contrast limits, or one number",
            f"gamma {self.gamma} with contrast limits {self.contrast_limits}",
            "pass contrast_limits=((low, high), …) with a pair, or None, for each channel",
        )

    def __call__(self, plane: NDArray[Any]) -> NDArray[np.uint8]:
        """Return (H, W), or (H, W, C) with C up to four, as (H, W, 3) uint8.

        Three and four channels are colour; one and two, or channels with limits of their own, are
        fluorescence, each on its own scale.
        """
        limits = self.contrast_limits
        if plane.ndim == 3 and (self._each or plane.shape[2] in (1, 2)):
            channels = [plane[..., n] for n in range(plane.shape[2])]
            pairs = limits if self._each else [limits] * len(channels)
            return merge_channels(
                channels,
                contrast_limits=pairs,
                gamma=self.gamma,
                percentiles=self.percentiles,
            )
        assert not isinstance(self.gamma, tuple)
        return to_rgb(plane, contrast_limits=limits, gamma=self.gamma, percentiles=self.percentiles)

    def settled(self, sample: NDArray[Any]) -> Display:
        """Return the display that shows every part of a plane as this one shows the whole.

        Parameters
        ----------
        sample
            (h, w) or (h, w, C): every `sample_step`-th pixel of the plane, each way.
        """
        if sample.ndim == 3 and (self._each or sample.shape[2] in (1, 2)):
            given = self.contrast_limits
            pairs = list(given or ()) if self._each else [given] * sample.shape[2]
            found = tuple(
                pair or _percentiles_of(sample[..., n], self.percentiles)
                for n, pair in enumerate(pairs)
            )
            return replace(self, contrast_limits=found)
        if self.contrast_limits is not None:
            return self
        if sample.ndim == 3:
            sample = sample[..., :3]
            if sample.dtype == np.uint8 and self.gamma == 1:
                return self  # taken as it is
            low, high = _percentiles_of(sample, (0, 100))
            if sample.dtype.kind == "f" and low >= 0 and high <= 1:
                return replace(self, contrast_limits=(0.0, 1.0))
        return replace(self, contrast_limits=_percentiles_of(sample, self.percentiles))

    @property
    def _each(self) -> bool:
        """Whether each channel has limits, or None, of its own."""
        return self.contrast_limits is not None and not np.isscalar(self.contrast_limits[0])


def level_for(axes: PlaneAxes, levels: Sequence[Any], longest: int) -> Any | None:
    """Return the smallest lower resolution of an array whose planes are still large enough.

    Parameters
    ----------
    axes
        How the array falls into planes at full resolution.
    levels
        The array at lower resolutions. Those that have fewer planes or channels do not count.
    longest
        Pixels that the longer side of a plane has at least.

    Returns
    -------
    One of `levels`, or ``None`` if there is none like that.
    """
    height, width = (axes.axes.index(letter) for letter in "YX")
    inside = (height, width)
    rest = [size for n, size in enumerate(axes.shape) if n not in inside]
    fitting = [
        level
        for level in levels
        if [size for n, size in enumerate(level.shape) if n not in inside] == rest
        and max(level.shape[height], level.shape[width]) >= longest
    ]
    return min(fitting, key=lambda level: max(level.shape[n] for n in inside), default=None)


def check_numbers(dtype: Any) -> None:
    """Refuse what are no real numbers."""
    kind = np.dtype(dtype).kind
    fail_if(
        kind not in "biuf",
        "a plane of real numbers",
        f"dtype {dtype}",
        "pass its magnitude, np.abs(plane)" if kind == "c" else "convert it to numbers",
        TypeError,
    )


def _checked(data: Any) -> NDArray[Any]:
    """Return the plane as an array, or say what is wrong with it."""
    plane: NDArray[Any] = np.asarray(data)
    check_numbers(plane.dtype)
    fail_if(
        plane.ndim not in (2, 3) or (plane.ndim == 3 and plane.shape[2] not in (3, 4)),
        "a plane of shape (H, W), or (H, W, 3) or (H, W, 4) in colour",
        f"shape {plane.shape}",
        "pass one plane, stack[n], or use segment_stack with its axes named",
    )
    fail_if(
        plane.size == 0, "at least one pixel", f"shape {plane.shape}", "pass a plane with pixels"
    )
    return plane


def _within_unit(plane: NDArray[Any]) -> bool:
    """Whether floating-point colour is on napari's scale of 0 to 1."""
    low, high = finite_percentiles(plane, (0, 100))
    return low >= 0 and high <= 1


def _stretched(plane: NDArray[Any], limits: tuple[float, float], gamma: float) -> NDArray[np.uint8]:
    """Map the limits to 0 and 255, through a look-up table for small integers."""
    if plane.dtype.kind in "iu" and plane.dtype.itemsize <= 2:
        info = np.iinfo(plane.dtype)
        table = _scaled(np.arange(info.min, info.max + 1, dtype=np.float64), limits, gamma)
        return np.asarray(table[plane.astype(np.int32) - info.min])
    return _scaled(plane.astype(np.float64), limits, gamma)


def _scaled(
    values: NDArray[np.float64], limits: tuple[float, float], gamma: float
) -> NDArray[np.uint8]:
    """Map the limits to 0 and 255; NaN to 0."""
    low, high = (float(limit) for limit in limits)
    fail_if(
        not (np.isfinite([low, high]).all() and high >= low and gamma > 0),
        "finite contrast limits, low before high, and gamma above 0",
        f"limits {limits}, gamma {gamma}",
        "pass (low, high), or None for percentiles",
    )
    with np.errstate(over="ignore", invalid="ignore"):
        unit = np.clip((values - low) / (high - low or 1.0), 0, 1)
    if gamma != 1:
        unit **= gamma
    return np.nan_to_num(unit * 255 + 0.5, nan=0.0).astype(np.uint8)
