import socket

import numpy as np
import PIL.Image
import pytest
import tifffile
from skimage.data import coins

from napari_fastsam.batch import Done
from napari_fastsam.demo import IMAGES, image_path, labels_path, overlay_path, run_demo


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_labels_and_overlay_of_each_image_are_written_without_a_network(tmp_path, blobs, offline):
    results = list(run_demo(tmp_path / "new", blobs))
    assert [type(result) for result in results] == [Done, Done]
    for name, result in zip(IMAGES, results, strict=True):
        image = np.asarray(PIL.Image.open(image_path(tmp_path / "new", name)))
        labels = tifffile.imread(labels_path(tmp_path / "new", name))
        picture = np.asarray(PIL.Image.open(overlay_path(tmp_path / "new", name)))
        assert labels.shape == image.shape[:2]
        assert len(np.unique(labels[labels > 0])) == len(result.objects) > 0
        assert picture.shape[0] % image.shape[0] == 0
    assert len(list((tmp_path / "new").iterdir())) == 3 * len(IMAGES)


def test_the_image_beside_the_labels_is_scikit_images_own(tmp_path, blobs):
    list(run_demo(tmp_path, blobs))
    np.testing.assert_array_equal(PIL.Image.open(image_path(tmp_path, "coins")), coins())


def test_a_second_demo_replaces_the_first(tmp_path, blobs):
    list(run_demo(tmp_path, blobs))
    labels_path(tmp_path, "coins").write_text("old")
    list(run_demo(tmp_path, blobs))
    assert tifffile.imread(labels_path(tmp_path, "coins")).any()
