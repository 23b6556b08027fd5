"""Words and examples in `segment_layers`."""

import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Labels, Points, Shapes

from fakes import BlobSegmenter, GreyScorer
from napari_fastsam import TextSpec, replay, segment_layers
from napari_fastsam.origins import KEY
from test_matching import BRIGHT, DARK, GREY, scene

PLANE = scene()[..., 0]
STACK = np.stack([PLANE, np.roll(PLANE, 1, 1), np.roll(PLANE, 2, 1)])


@pytest.fixture
def scorer():
    return GreyScorer()


def segment(data, scorer, **asked):
    image = Image(data, contrast_limits=(0, 255), name="cells", rgb=False)
    return segment_layers(image, model=BlobSegmenter(80), scorer=scorer, **asked)


def told(layer):
    return layer.features.set_index("index")[["score", "text", "likeness"]].dropna()


def test_words_make_labels_that_say_what_they_answer(scorer):
    layer = segment(PLANE, scorer, text="bright | dark")
    assert [int(PLANE[layer.data == n][0]) for n in range(1, 5)] == [BRIGHT] * 2 + [DARK] * 2
    features = told(layer)
    assert features["text"].to_dict() == {1: "bright", 2: "bright", 3: "dark", 4: "dark"}
    assert features["likeness"].between(0.5, 1).all()
    assert (features["score"] == 1).all()


def test_words_are_looked_for_on_every_plane(scorer):
    layer = segment(STACK, scorer, text="grey", link=True)
    assert np.unique(layer.data).tolist() == [0, 1, 2]
    assert (STACK[layer.data > 0] == GREY).all()
    assert told(layer)["text"].to_dict() == {1: "grey", 2: "grey"}
    apart = segment(STACK, scorer, text="grey")
    assert sorted(told(apart).index) == [1, 2, 3, 4, 5, 6]
    one = segment(STACK, scorer, text="grey", plane=1)
    assert one.data.any((1, 2)).tolist() == [False, True, False]


def test_what_is_drawn_on_a_plane_narrows_it(scorer):
    box = [[1, 0, 0], [1, 0, 40], [1, 60, 40], [1, 60, 0]]
    points = Points([(2, 8, 10)], features=pd.DataFrame({"polarity": ["-"]}))
    shapes = Shapes([box], shape_type="rectangle")
    layer = segment(STACK, scorer, text="bright", points=points, shapes=shapes)
    areas = [np.count_nonzero(plane) for plane in layer.data]
    assert areas == [14 * 20 + 6 * 8, 14 * 20, 6 * 8]


def test_examples_are_pointed_at(scorer):
    layer = segment(STACK, scorer, points=Points([(1, 28, 10)]), similar=True, threshold=0.99)
    assert (STACK[layer.data > 0] == GREY).all()
    assert layer.data.any((1, 2)).tolist() == [False, True, False]
    assert told(layer)["text"].to_dict() == {1: "", 2: ""}


def test_the_best_so_many(scorer):
    assert segment(PLANE, scorer, text="bright", top_k=1).data.max() == 1


def test_words_that_describe_nothing_on_any_plane_are_told(scorer):
    stack = STACK.copy()
    stack[1:][stack[1:] == DARK] = 0
    stack[stack == GREY] = 0
    with pytest.warns(UserWarning, match="No object found for 'grey'. Try other words"):
        layer = segment(stack, scorer, text="dark | grey")
    assert set(told(layer)["text"]) == {"dark"}


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"text": ""}, "words for what is wanted"),
        ({"similar": True}, "similar without"),
        ({"similar": True, "points": Points([])}, "similar without"),
        ({"threshold": 0.5}, "a threshold without"),
        ({"text": "a", "top_k": 0}, "top_k 0"),
    ],
)
def test_what_is_no_search_is_refused(scorer, asked, fault):
    with pytest.raises(ValueError, match=fault):
        segment(PLANE, scorer, **asked)


def test_what_was_in_the_layer_stays(scorer):
    features = pd.DataFrame({"index": [7], "mine": ["a"]})
    labels = Labels(np.zeros(PLANE.shape, np.uint32), features=features)
    labels.data[50:58, 80:88] = 7
    segment(PLANE, scorer, text="dark", labels=labels)
    assert np.unique(labels.data).tolist() == [0, 7, 8, 9]
    assert labels.features.set_index("index").loc[7, "mine"] == "a"
    assert told(labels).index.tolist() == [8, 9]


def test_nothing_that_knows_words_is_built_without_words(monkeypatch):
    monkeypatch.setattr("napari_fastsam.pipeline.build_scorer", pytest.fail)
    layer = segment(PLANE, None)
    assert layer.data.max() == 6
    assert "scorer" not in layer.metadata[KEY]["sources"][0]
    assert not {"text", "likeness"} & set(layer.features)


def test_a_search_is_replayed(scorer, monkeypatch):
    monkeypatch.setattr("napari_fastsam.looking.build_scorer", lambda _: GreyScorer())
    layer = segment(STACK, scorer, text="bright, not grey", link=True)
    assert layer.metadata[KEY]["sources"][0]["scorer"]["model"] == "grey"
    assert (replay(layer, STACK, model=BlobSegmenter(80)) == layer.data).all()


def test_names_paths_and_specs_are_recorded(monkeypatch):
    asked = []

    def build(spec):
        asked.append(spec)
        return GreyScorer()

    monkeypatch.setattr("napari_fastsam.pipeline.build_scorer", build)
    for given, model in ((None, "ViT-B-32"), ("m.pt", "m.pt"), (TextSpec(model="x"), "x")):
        layer = segment(PLANE, given, text="dark")
        assert layer.metadata[KEY]["sources"][0]["scorer"]["model"] == model
    assert asked == [None, "m.pt", TextSpec(model="x")]
