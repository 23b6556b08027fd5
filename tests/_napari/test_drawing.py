import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Points, Shapes

from napari_fastsam._napari.drawing import drawing_of, erase, group_name, redraw
from napari_fastsam._napari.prompt_layers import ready_for_clicks, shapes_layer
from napari_fastsam._napari.source import source_of
from napari_fastsam._napari.views import View

SQUARE = np.array([(2, 3), (2, 9), (8, 9), (8, 3)], float)


@pytest.fixture
def source():
    """Return three planes of 20 x 30."""
    return source_of(Image(np.zeros((3, 20, 30), np.uint8), name="cells"))


def read(points, shapes, source, index=(1,)):
    return drawing_of(points, shapes, source, View(source.axes, index))


class TestReading:
    """Rows are what the layers show."""

    def test_points_are_rows_in_their_order(self, source):
        points = Points(
            [(0, 4, 5), (2, 6, 7)], features={"polarity": ["-", "+"], "group": [np.nan, 3]}
        )
        rows = read(points, None, source).points
        assert [(row.plane, row.place, row.positive, row.group) for row in rows] == [
            ((0,), (4.0, 5.0), False, None),
            ((2,), (6.0, 7.0), True, 3),
        ]

    def test_points_without_features_are_positive_and_alone(self, source):
        (row,) = read(Points([(0, 4, 5)]), None, source).points
        assert (row.positive, row.group) == (True, None)

    def test_points_that_are_hidden_ask_nothing(self, source):
        points = Points([(0, 4, 5), (0, 6, 7)])
        points.shown = [False, True]
        assert [row.place for row in read(points, None, source).points] == [(6.0, 7.0)]

    def test_flat_layers_speak_of_the_plane_in_view(self, source):
        drawing = read(Points([(4, 5)]), Shapes([SQUARE]), source, index=(2,))
        assert drawing.flat == (True, True)
        assert [row.plane for row in (*drawing.points, *drawing.shapes)] == [(2,), (2,)]

    def test_layers_that_lie_elsewhere_are_read_where_they_lie(self, source):
        points = Points([(1, 2, 2)], scale=(1, 2, 3), translate=(0, 1, 1))
        (row,) = read(points, None, source).points
        assert (row.plane, row.place) == ((1,), (5.0, 7.0))

    def test_each_kind_of_shape_is_a_row(self, source):
        shapes = Shapes(ndim=3)
        flat = np.insert(SQUARE, 0, 1, axis=1)
        for kind in ("rectangle", "ellipse", "polygon", "path"):
            shapes.add(flat, shape_type=kind)
        shapes.add(flat[:2], shape_type="line")
        rows = read(None, shapes, source).shapes
        assert [row.kind for row in rows] == ["rectangle", "ellipse", "polygon", "path", "line"]
        assert all(row.prompts is not None and row.plane == (1,) for row in rows)

    def test_a_shape_across_planes_asks_nothing(self, source):
        outline = np.insert(SQUARE, 0, [0, 0, 1, 1], axis=1)
        (row,) = read(None, Shapes([outline]), source).shapes
        assert row.prompts is None

    def test_a_polarity_that_is_not_understood_is_refused(self, source):
        points = Points([(0, 4, 5)], features={"polarity": ["perhaps"]})
        with pytest.raises(ValueError, match="'perhaps'"):
            read(points, None, source)

    def test_no_layers_are_no_rows(self, source):
        drawing = read(None, None, source)
        assert (drawing.points, drawing.shapes) == ((), ())


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        (None, None),
        (np.nan, None),
        (pd.NA, None),
        (pd.NaT, None),
        ("", None),
        ("  ", None),
        (-1, None),
        (np.inf, None),
        (0, 0),
        (2.0, 2),
        (np.int64(2), 2),
        (np.float32(2), 2),
        (2.5, 2.5),
        (True, 1),
        ("2", 2),
        (" 2 ", 2),
        ("02", "02"),
        ("2.0", "2.0"),
        ("-2", "-2"),
        ("left", "left"),
        (("a", 1), "('a', 1)"),
    ],
    ids=repr,
)
def test_cells_of_any_kind_name_a_group(cell, name):
    found = group_name(cell)
    assert found == name
    assert type(found) is type(name)


COLUMNS = {
    "floats": np.array([1, np.nan]),
    "integers": np.array([1, 2]),
    "words": np.array(["a", "b"]),
    "words and nothing": np.array(["a", None], object),
    "words that are numbers": np.array(["1", "2"]),
    "strings": pd.Series(["a", None], dtype="string"),
    "categories": pd.Categorical(["a", "b"]),
    "integers and nothing": pd.Series([1, None], dtype="Int64"),
    "truth": np.array([True, False]),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_click_finds_its_group_in_a_column_of_any_kind(source, column):
    points = Points([(0, 4, 5), (0, 6, 7)], features={"group": COLUMNS[column]})
    before = [row.group for row in read(points, None, source).points]
    ready_for_clicks(points)
    for group in (7, np.nan):
        points.feature_defaults = {"polarity": "-", "group": group}
        points.add((1, 8, 9))
    rows = read(points, None, source).points
    assert [row.group for row in rows] == [*before, 7, None]
    assert [row.positive for row in rows] == [True, True, False, False]


@pytest.mark.filterwarnings("ignore:Feature 'polarity' looks like categorical")
@pytest.mark.parametrize(
    "polarity",
    [["+", "-"], ["positive", "negative"], [True, False], [1, 0], [1.0, -1.0]],
    ids=["signs", "words", "truth", "integers", "floats"],
)
@pytest.mark.parametrize("coloured", [False, True], ids=["plain", "coloured"])
def test_a_click_keeps_its_polarity_in_a_column_of_any_kind(source, polarity, coloured):
    colours = {"face_color": "polarity", "face_color_cycle": ["red", "blue"]} if coloured else {}
    points = Points([(0, 4, 5), (0, 6, 7)], features={"polarity": polarity}, **colours)
    drawn = read(points, None, source)
    ready_for_clicks(points)
    for sign in "-+":
        points.feature_defaults = points.feature_defaults.iloc[0].to_dict() | {"polarity": sign}
        points.add((1, 8, 9))
    signs = [row.positive for row in read(points, None, source).points]
    assert signs == [True, False, False, True]
    redraw(drawn)
    assert [row.positive for row in read(points, None, source).points] == [True, False]
    points.feature_defaults = points.feature_defaults.iloc[0].to_dict() | {"polarity": "-"}
    points.add((1, 8, 9))
    assert not read(points, None, source).points[-1].positive


class TestRedrawing:
    """What was drawn comes back."""

    def test_points_come_back_with_their_features(self, source):
        points = Points(
            [(0, 4, 5), (2, 6, 7)], features={"polarity": ["-", "+"], "group": [np.nan, 3]}
        )
        drawing = read(points, None, source)
        points.feature_defaults = {"polarity": "-", "group": 5}
        points.data = points.data[1:] + 1
        points.features = {"polarity": ["-"], "group": [1]}
        points.feature_defaults = {"polarity": "-", "group": 5}
        redraw(drawing)
        assert read(points, None, source).points == drawing.points
        assert points.feature_defaults["group"].tolist() == [5]

    @pytest.mark.parametrize("edit", ["move", "remove", "add", "turn", "stretch"])
    def test_shapes_come_back(self, source, edit):
        shapes = shapes_layer(source.image, (20, 30))
        shapes.add(np.insert(SQUARE, 0, 1, axis=1), shape_type="rectangle", edge_color="red")
        shapes.add(np.insert(SQUARE, 0, 2, axis=1), shape_type="ellipse")
        drawing = read(None, shapes, source)
        if edit == "move":  # as the mouse does
            shapes._data_view.shift(0, np.array([3, 4]))
        elif edit == "remove":
            shapes.selected_data = {0}
            shapes.remove_selected()
        elif edit == "add":
            shapes.add(np.insert(SQUARE, 0, 0, axis=1), shape_type="polygon")
        elif edit == "turn":
            shapes.shape_type = "polygon"
        else:
            shapes.data = [outline * 1.5 for outline in shapes.data]
        after = read(None, shapes, source)
        assert [row[:3] for row in after.shapes] != [row[:3] for row in drawing.shapes]
        redraw(drawing)
        again = read(None, shapes, source)
        assert [row[:3] for row in again.shapes] == [row[:3] for row in drawing.shapes]
        assert not shapes.selected_data

    def test_what_is_as_it_was_is_not_touched(self, source):
        points, shapes = Points([(0, 4, 5)]), Shapes([np.insert(SQUARE, 0, 1, axis=1)])
        drawing = read(points, shapes, source)
        heard = []
        for layer in (points, shapes):
            layer.events.data.connect(heard.append)
            layer.events.features.connect(heard.append)
        redraw(drawing)
        assert not heard

    def test_rows_are_erased_where_they_are_in_the_layer(self, source):
        points = Points([(0, 4, 5), (0, 6, 7), (0, 8, 9)])
        points.shown = [False, True, True]
        shapes = Shapes([np.insert(SQUARE, 0, n, axis=1) for n in (0, 1)])
        erase(read(points, shapes, source), [1], [0])
        assert points.data.tolist() == [[0, 4, 5], [0, 6, 7]]
        assert [outline[0, 0] for outline in shapes.data] == [1]
