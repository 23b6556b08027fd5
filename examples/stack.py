"""Label a stack plane by plane, and give each object one label through the planes."""

import numpy as np
from skimage.data import coins

import napari_fastsam as fs

# A drifting field of view stands for a time-lapse; any array with named axes will do, dask and
# zarr among them, of which one plane is read at a time.
movie = np.stack([np.roll(coins(), 3 * t, axis=1) for t in range(4)])

tracks = fs.segment_stack(
    movie,
    "starter",
    axes="TYX",
    link=True,
    confidence=0.3,
    progress=lambda done, total: print(f"plane {done} of {total}"),
)
through = [label for label in np.unique(tracks[tracks > 0]) if (tracks == label).any((1, 2)).all()]
print(f"{tracks.max()} objects, {len(through)} of them seen on every plane")
