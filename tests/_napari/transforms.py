"""Transforms of layers, drawn at random: not too flat, so that numbers stay exact enough."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

UNITS = ("nm", "um", "mm")


def floats(low, high):
    return st.floats(low, high).map(lambda number: round(number, 3))


def several(elements, count):
    return st.lists(elements, min_size=count, max_size=count)


@st.composite
def transforms(draw, ndim, *, units=False):
    """Draw what places a layer of `ndim` axes, mixing all of them."""
    signs = draw(several(st.sampled_from((1, 1, 1, -1)), ndim))
    scale = [
        sign * size for sign, size in zip(signs, draw(several(floats(0.25, 4), ndim)), strict=True)
    ]
    placing = {"scale": scale, "translate": draw(several(floats(-50, 50), ndim))}
    if draw(st.booleans()):
        angle = floats(-80, 80)
        placing["rotate"] = draw(angle if ndim == 2 else several(angle, 3)) if ndim < 4 else None
        if ndim > 3:
            turn = np.eye(ndim)
            c, s = np.cos(a := draw(floats(-1, 1))), np.sin(a)
            turn[-2:, -2:] = (c, -s), (s, c)
            placing["rotate"] = turn
    if draw(st.booleans()):
        placing["shear"] = draw(several(floats(-0.6, 0.6), ndim * (ndim - 1) // 2))
    if draw(st.booleans()):
        affine = np.eye(ndim + 1)
        affine[:-1, :-1] += 0.3 / ndim * np.array(draw(several(several(floats(-1, 1), ndim), ndim)))
        affine[:-1, -1] = draw(several(floats(-50, 50), ndim))
        placing["affine"] = affine
    if units:
        placing["units"] = draw(several(st.sampled_from(UNITS), ndim))
    return placing


def stepped(placings, displayed=(-2, -1)):
    """Take out what mixes the axes in a plane with the others, so that planes are cut whole."""
    return placings.map(lambda placing: _unmixed(placing, displayed))


def _unmixed(placing, displayed):
    ndim = len(placing["scale"])
    inside = np.zeros(ndim, bool)
    inside[list(displayed)] = True
    apart = inside[:, None] != inside
    placing = dict(placing)
    if "rotate" in placing and ndim > 2:
        placing["rotate"] = turned(ndim, displayed, np.ravel(placing["rotate"])[-1])
    if "shear" in placing:
        placing["shear"] = np.where(apart[np.triu_indices(ndim, k=1)], 0, placing["shear"])
    if "affine" in placing:
        mixed = np.zeros((ndim + 1, ndim + 1), bool)
        mixed[:-1, :-1] = apart
        placing["affine"] = np.where(mixed, 0, placing["affine"])
    return placing


def turned(ndim, axes, angle):
    """Return a rotation by an angle in degrees in the plane of two axes."""
    matrix = np.eye(ndim)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    matrix[np.ix_(axes, axes)] = (c, -s), (s, c)
    return matrix
