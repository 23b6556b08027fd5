"""Segment a napari image layer with the points of another layer, as the dock widget does.

Add ``import napari; viewer = napari.Viewer()`` and ``viewer.add_layer`` to see it; none is needed.
"""

from napari.layers import Image, Points
from skimage.data import coins

import napari_fastsam as fs

image = Image(coins(), name="coins", scale=(0.5, 0.5), units=("um", "um"))
points = Points(
    [(22, 167), (130, 86)],  # micrometres: prompts are carried through world coordinates
    features={"polarity": ["+", "+"]},
    units=("um", "um"),
)
labels = fs.segment_layers(image, points=points, model="starter")
print(f"{labels.name}: {labels.data.max()} objects, scale {labels.scale}")
