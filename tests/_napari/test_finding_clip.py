"""The tab *Find* with a real CLIP: small, trained on coloured shapes, from a file of one's own."""

from pathlib import Path

import numpy as np
import pytest
from skimage.draw import disk

from napari_fastsam import Instances

from .conftest import found, labels_of

CLIP = Path(__file__).parents[1] / "clip" / "shapes.safetensors"
RED, BLUE = (210, 40, 40), (40, 70, 210)


def shapes() -> np.ndarray:
    """(160, 240) labels: circles 1 to 3, squares 4 to 6."""
    labels = np.zeros((160, 240), int)
    for n, column in enumerate((45, 120, 195), 1):
        labels[disk((45, column), 26)] = n
        labels[92:142, column - 25 : column + 25] = n + 3
    return labels


def picture() -> np.ndarray:
    """Return an image where objects 1, 2 and 4 are red, the others blue."""
    colours = np.array([(200, 200, 200), RED, RED, BLUE, RED, BLUE, BLUE], np.uint8)
    return colours[shapes()]


class Known:
    """Finds the objects of the picture."""

    spec = "known"

    def segment(self, image):
        return Instances.from_labels(shapes())


@pytest.mark.parametrize(
    ("text", "wanted"), [("red circle", {1, 2}), ("blue square", {5, 6}), ("red square", {4})]
)
def test_what_words_describe_best_is_taken(viewer, make_dock, text, wanted):
    dock = make_dock(viewer, model=Known())
    dock.settings.device.value = "cpu"
    dock.settings.text_model.choose(str(CLIP))
    viewer.add_image(picture(), rgb=True)
    dock.current_tab = "find"
    dock.settle()
    dock.find.top_k.value = len(wanted)
    dock.find.words.text = text
    dock.find.words.ask()
    dock.settle()
    dock.find.take_button.native.click()
    labels = labels_of(viewer)
    assert set(np.unique(shapes()[labels.data > 0])) == wanted
    features = labels.features.set_index("index")
    assert features["text"].tolist() == [text] * len(found(labels))
    assert (features["likeness"] >= 0.5).all()
