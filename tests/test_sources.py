from dataclasses import asdict, replace

import numpy as np
import pytest
from napari.layers import Image

import napari_fastsam as fs
from labelling_cases import AS_IS
from napari_fastsam import Labelling, Prompts, replay
from napari_fastsam.composite import Channel, Composite
from napari_fastsam.origins import KEY
from napari_fastsam.sources import model_hash, model_of
from test_replaying import IMAGE, told, work

__all__ = ["work"]

OTHER = np.roll(IMAGE, 9, 1)


@pytest.mark.parametrize("image", [IMAGE[:-1], IMAGE.astype(float)])
def test_another_image_is_refused(work, blobs, image):
    work.everything()
    with pytest.raises(ValueError, match=r"'image' of shape \(48, 64\) and dtype uint8.*as it was"):
        replay(told(work), image, model=blobs)


def test_a_file_is_hashed_again_only_when_it_changed(tmp_path, monkeypatch):
    file = tmp_path / "model.pt"
    file.write_bytes(b"one")
    spec = fs.ModelSpec(model=str(file))
    first = model_hash(spec)
    monkeypatch.setattr("napari_fastsam.models._files.sha256_of", lambda path: "hashed")
    assert model_hash(spec) == first
    file.write_bytes(b"another")
    assert model_hash(spec) == "hashed"
    file.unlink()
    assert model_hash(spec) is None


def test_a_network_of_several_files_is_told_by_all_of_them_whichever_was_chosen(tmp_path):
    names = ("network.xml", "network.bin", "metadata.yaml")
    for name in names:
        (tmp_path / name).write_bytes(b"one")
    folder, layers = (fs.ModelSpec(model=str(path)) for path in (tmp_path, tmp_path / names[0]))
    known = {model_hash(folder)}
    for name in names:
        (tmp_path / name).write_bytes(b"another")
        assert model_hash(folder) == model_hash(layers)
        known.add(model_hash(folder))
    assert len(known) == 4


def test_a_record_from_before_edges_were_refined_is_done_again_without():
    spec = fs.ModelSpec(image_size=64)
    told = asdict(spec)
    assert model_of({"model": told}, None) == spec
    del told["refine"]
    assert model_of({"model": told}, None) == replace(spec, refine=False)


CHANNELS = [
    pytest.param({"channel_axis": 0}, id="all"),
    pytest.param({"channel_axis": 0, "channels": [None, 1, 0]}, id="a colour without a channel"),
    pytest.param({"channel_axis": -3, "channels": [1]}, id="one"),
]


@pytest.mark.parametrize("options", CHANNELS)
@pytest.mark.parametrize("contrast", ["shown", "percentiles"])
def test_channels_of_a_layer_come_back(blobs, options, contrast):
    image = Image(np.stack([IMAGE, OTHER]), name="both")
    layer = fs.segment_layers(image, model=blobs, contrast=contrast, **options)
    for given in (image, image.data):
        np.testing.assert_array_equal(replay(layer, given, model=blobs), layer.data)
    with pytest.raises(ValueError, match=r"'both' of shape \(2, 48, 64\) with channels on axis 0"):
        replay(layer, image.data[0], model=blobs)


def test_channels_on_an_axis_that_the_labels_keep_come_back(blobs):
    image = Image(np.stack([[IMAGE, OTHER], [OTHER, IMAGE], [IMAGE, IMAGE]]))
    layer = fs.segment_layers(image, model=blobs, channel_axis=1)
    assert layer.data.shape == (3, 1, 48, 64)
    np.testing.assert_array_equal(replay(layer, image, model=blobs), layer.data)


def test_channels_of_a_pyramid_come_back(blobs):
    levels = [np.stack([IMAGE, OTHER]), np.stack([IMAGE, OTHER])[:, ::2, ::2]]
    image = Image(levels, multiscale=True)
    layer = fs.segment_layers(image, model=blobs, channel_axis=0)
    for given in (image, levels):
        np.testing.assert_array_equal(replay(layer, given, model=blobs), layer.data)


def test_layers_as_colours_come_back(blobs):
    first, second = Image(IMAGE, name="a"), Image(OTHER, name="b")
    layer = fs.segment_layers(first, colours=(second, None, first), model=blobs)
    stacked = np.stack([OTHER, 0 * IMAGE, IMAGE], -1)
    for given in ([second, first], [second, None, first], [OTHER, IMAGE], stacked):
        np.testing.assert_array_equal(replay(layer, given, model=blobs), layer.data)
    for wrong in (
        first,
        [first],
        [first, second, first],
        [OTHER, IMAGE[:9]],
    ):
        with pytest.raises(ValueError, match=r"'b', 'a'.*shown as colours.*pass a list of these 2"):
            replay(layer, wrong, model=blobs)


@pytest.mark.parametrize("files", [True, False])
def test_a_script_makes_composites_again(blobs, tmp_path, files):
    paths = [tmp_path / f"{name}.npy" for name in "ab"]
    for path, array in zip(paths, (IMAGE, np.stack([IMAGE, OTHER])), strict=True):
        np.save(path, array)
    first, both = Image(IMAGE, name="a"), Image(np.load(paths[1]), name="b")
    cases = [
        fs.segment_layers(first, colours=(first, None, Image(OTHER)), model=blobs),
        fs.segment_layers(both, channel_axis=0, channels=[1, None, 0], model=blobs),
    ]
    if files:  # as layers tell that were opened from files
        told_first, told_both = (layer.metadata[KEY]["sources"][0]["image"] for layer in cases)
        told_first["colours"][0]["path"], told_both["path"] = map(str, paths)
    arrays = [{"image_colour_1": IMAGE, "image_colour_3": OTHER}, {"image": both.data}]
    for layer, given in zip(cases, arrays, strict=True):
        script = fs.as_script(layer, output=str(tmp_path / "labels.tif"))
        for name in given:
            script = script.replace(f"\n{name} = ...", f"\n{name} = given[{name!r}]")
        names = {"given": given, "model": blobs}
        exec(compile(script.replace("model=...", "model=model"), "script", "exec"), names)
        np.testing.assert_array_equal(names["work"].labels, layer.data)
        assert ("np.load(" in script) == files


def test_a_composite_is_an_image_for_scripts_too(blobs):
    stack = np.stack([IMAGE, OTHER])
    image = Composite((Channel(stack, 0, 1, False), None, IMAGE))
    work = Labelling.of(image, blobs, axes="YXC", display=AS_IS)
    work.take(Prompts(points=[(6, 15)]))
    assert work.labels.any()
    np.testing.assert_array_equal(replay(told(work), image, model=blobs), work.labels)
