import pytest

from napari_fastsam._napari.areas import AreaRange, areas, handles

SPAN = (10, 100_000)


@pytest.mark.parametrize("least", [0, 20, 5000])
@pytest.mark.parametrize("most", [0, 6000, 90_000])
def test_handles_and_areas_are_each_others_inverse(least, most):
    assert areas(*handles(least, most, SPAN), SPAN) == (least, most)


@pytest.mark.parametrize(
    ("least", "most", "where"),
    [(0, 0, (0, 1)), (1, 1_000_000, (0, 1)), (1000, 0, (0.5, 1)), (1000, 100, (0.5, 0.5))],
    ids=["no limits", "beyond the span", "half way", "crossed"],
)
def test_handles_stay_on_the_slider(least, most, where):
    assert handles(least, most, SPAN) == pytest.approx(where)


@pytest.fixture
def area_range(qtbot):
    made = AreaRange()
    for widget in (made.slider, made.min_area.native, made.max_area.native):
        qtbot.addWidget(widget)
    made.set_span(*SPAN)
    return made


def test_dragging_shows_in_the_numbers_once_for_each(area_range):
    told = []
    area_range.min_area.changed.connect(lambda value: told.append(("min", value)))
    area_range.max_area.changed.connect(lambda value: told.append(("max", value)))
    area_range.slider.setValue((0.5, 1.0))
    area_range.slider.setValue((0.5, 0.75))
    assert told == [("min", 1000), ("max", 10_000)]


def test_typing_moves_the_handles(area_range):
    area_range.min_area.native.setValue(1000)
    assert area_range.slider.value() == pytest.approx((0.5, 1.0))


def test_another_plane_moves_the_handles_and_not_the_areas(area_range):
    area_range.min_area.value = 1000
    area_range.set_span(100, 10_000)
    assert area_range.slider.value() == pytest.approx((0.5, 1.0))
    assert (area_range.min_area.value, area_range.max_area.value) == (1000, 0)


@pytest.mark.parametrize("span", [(5, 5), (0, 0), (1, 1)])
def test_objects_of_one_size_have_a_slider_too(span, area_range):
    area_range.set_span(*span)
    assert area_range.slider.value() == pytest.approx((0, 1))


def test_no_limit_is_a_word(area_range):
    assert area_range.max_area.native.text() == "any"
    area_range.max_area.value = 7
    assert area_range.max_area.native.text() == "7 px"
