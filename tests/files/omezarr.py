"""OME-Zarrs for tests, as other programs write them."""

import numpy as np
import zarr

TYPES = {"t": "time", "c": "channel"}


def scale(*values):
    return {"type": "scale", "scale": list(values)}


def translation(*values):
    return {"type": "translation", "translation": list(values)}


def ome_zarr(path, version, datasets, axes, units=None, image=None, **more):
    """Save an OME-Zarr of noise with a level for each list of transformations.

    `axes` are (name, length), `image` more of the multiscales, `more` of OME's attributes.
    """
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    listed = []
    noise = np.random.default_rng(0)
    for n, steps in enumerate(datasets):
        shape = [-(-size // 2**n) if name in "yx" else size for name, size in axes]
        kind = {"name": "v2" if version == "0.4" else "default", "separator": "/"}
        names = None if version == "0.4" else [name for name, _ in axes]
        group.create_array(
            str(n), shape=shape, dtype="uint16", chunk_key_encoding=kind, dimension_names=names
        )[...] = noise.integers(0, 4000, shape, np.uint16)
        listed.append({"path": str(n), "coordinateTransformations": steps})
    named = [{"name": name, "type": TYPES.get(name, "space")} for name, _ in axes]
    for axis, unit in zip(named, units or [None] * len(named), strict=True):
        axis.update({"unit": unit} if unit else {})
    told = {"name": "image", "axes": named, "datasets": listed, **(image or {})}
    if version == "0.4":
        group.attrs.update({"multiscales": [told | {"version": "0.4"}], **more})
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [told], **more}
