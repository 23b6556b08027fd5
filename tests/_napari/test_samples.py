import numpy as np
import pytest
import skimage.data

from napari_fastsam._napari import samples

SHIPPED = ("coins", "immunohistochemistry", "cell", "hubble_deep_field", "coffee")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a sample that ships must not be downloaded")

    monkeypatch.setattr("pooch.Pooch.fetch", refuse)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_samples_need_no_network(name, no_network):
    [(image, kwargs, kind)] = getattr(samples, name)()
    assert (image.dtype, kind) == (np.uint8, "image")
    assert image.ndim == 2 or image.shape[2] == 3
    assert kwargs["name"]


@pytest.mark.parametrize("name", ["human_mitosis", "cells3d"])
def test_samples_to_download_say_what_to_do_offline(name, monkeypatch):
    def offline():
        raise ConnectionError("no route to host")

    monkeypatch.setattr(skimage.data, name, offline)
    with pytest.raises(ConnectionError, match=f"'{name}'.*no route to host.*as coins"):
        getattr(samples, name)()


def test_cells_in_3d_are_the_nuclei_with_their_size(monkeypatch):
    both = np.zeros((3, 2, 4, 5), np.uint16)
    both[:, 1] = 7
    monkeypatch.setattr(skimage.data, "cells3d", lambda: both)
    [(image, kwargs, _)] = samples.cells3d()
    assert image.shape == (3, 4, 5)
    assert (image == 7).all()
    assert kwargs["scale"] == (0.29, 0.26, 0.26)


def test_a_sample_opens_in_the_viewer(viewer):
    viewer.open_sample("napari-fastsam", "coins")
    assert viewer.layers["coins"].data.shape == (303, 384)
