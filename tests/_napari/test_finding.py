"""The tab *Find*: words and examples over the plane in view, in a real viewer."""

import subprocess
import sys
from threading import Event

import numpy as np
import pytest
from napari.layers import Labels

import napari_fastsam as fs
from fakes import BlobSegmenter, GreyScorer
from napari_fastsam._napari import words
from napari_fastsam._napari.preview import is_preview
from napari_fastsam._napari.searching import Searching, Terms, labelled
from napari_fastsam._napari.widget import FastSamWidget
from napari_fastsam._napari.work import PROVENANCE
from napari_fastsam.closer import Seen
from test_matching import BRIGHT, GREY, scene

from .conftest import found, labels_of


@pytest.fixture
def scorer():
    return GreyScorer()


@pytest.fixture
def dock(viewer, scorer, qtbot, notices):
    """A docked widget over six objects, two of each brightness; `Find` is open."""
    widget = FastSamWidget(viewer, model=BlobSegmenter(100), scorer=scorer)
    viewer.window.add_dock_widget(widget, name="Segment")
    widget.settle = lambda: qtbot.waitUntil(lambda: not widget.busy, timeout=60_000)
    viewer.add_image(scene(), rgb=True)
    widget.current_tab = "find"
    widget.settle()
    yield widget
    assert notices == []


def ask(dock, text):
    dock.find.words.text = text
    dock.find.words.line.returnPressed.emit()
    dock.settle()


def shown(dock) -> set[int]:
    """Return how bright the objects are that are shown beforehand."""
    image = scene()[..., 0]
    values = dock.preview._plane
    return {int(np.median(image[values == n])) for n in np.unique(values) if 0 < n < 255}


def test_words_are_answered_beforehand_and_taken_as_one_step(viewer, dock, scorer):
    ask(dock, "bright")
    assert dock.find.count.said == "2 of 6 objects"
    assert shown(dock) == {BRIGHT}
    assert dock.find.take_button.text == "Take 2 objects"
    dock.find.take_button.native.click()
    labels = labels_of(viewer)
    assert found(labels) == [1, 2]
    assert set(np.unique(scene()[labels.data > 0])) == {BRIGHT}
    assert dock.find.count.said == "0 of 6 objects · 2 labelled already"
    dock.undo()
    assert found(labels) == []
    assert dock.find.count.said == "2 of 6 objects"
    dock.redo()
    assert found(labels) == [1, 2]
    assert scorer.looks == [6]


def test_the_slider_answers_at_once_and_so_do_more_questions(dock, scorer):
    ask(dock, "grey | dark")
    assert dock.find.count.said == "4 of 6 objects"
    dock.find.threshold.value = 0.0
    assert dock.find.count.said == "6 of 6 objects"
    dock.find.threshold.value = 0.5
    dock.find.top_k.value = 1
    assert dock.find.count.said == "2 of 6 objects"
    ask(dock, "bright")
    assert dock.find.count.said == "1 of 6 objects"
    assert scorer.looks == [6]


def test_a_click_leaves_an_object_out_and_has_it_back(viewer, dock, monkeypatch):
    monkeypatch.setattr("napari_fastsam.looking.build_scorer", lambda _: GreyScorer())
    ask(dock, "bright")
    assert dock.toggle((6, 52))
    assert dock.find.take_button.text == "Take 1 object"
    assert dock.toggle((6, 52))
    assert dock.toggle((8, 10))
    dock.find.threshold.value = 0.6
    dock.find.take_button.native.click()
    labels = labels_of(viewer).data
    assert labels[6, 52] == 1
    assert np.count_nonzero(labels) == 6 * 8
    record = labels_of(viewer).metadata[PROVENANCE]
    assert record["steps"][0]["prompts"] == {"text": "bright", "threshold": 0.6}
    assert record["steps"][0]["without"] == [0]
    assert record["sources"][0]["scorer"]["model"] == "grey"
    again = fs.replay(labels_of(viewer), scene(), model=BlobSegmenter(100))
    np.testing.assert_array_equal(again, labels)


def test_similar_objects_are_found_without_words(viewer, dock):
    points = viewer.add_points()
    dock.current_tab = "click"
    points.add((28, 10))
    assert found(labels_of(viewer)) == [1]
    dock.find.similar_button.native.click()
    dock.settle()
    assert dock.current_tab == "find"
    assert "1 example" in dock.find.examples.said
    dock.find.likeness.value = 0.95
    assert dock.find.count.said == "1 of 6 objects · 1 labelled already"
    dock.find.take_button.native.click()
    assert set(np.unique(scene()[labels_of(viewer).data > 0])) == {GREY}
    dock.find.likeness.value = 0
    assert dock.find.count.said == "4 of 6 objects · 2 labelled already"


def test_features_tell_how_well_objects_answered_and_follow_undo(viewer, dock):
    ask(dock, "bright")
    dock.find.take_button.native.click()
    labels = labels_of(viewer)
    features = labels.features.set_index("index")
    assert features["text"].to_dict() == {1: "bright", 2: "bright"}
    assert (features["likeness"] > 0.9).all()
    assert (features["score"] == 1).all()
    dock.undo()
    assert "text" not in labels.features
    dock.redo()
    assert labels.features.set_index("index")["text"].to_dict() == {1: "bright", 2: "bright"}


def test_only_inside_shapes(viewer, dock):
    dock.find.inside.value = True
    ask(dock, "bright | grey")
    assert dock.find.count.said == words.NO_REGIONS
    shapes = viewer.add_shapes()
    shapes.add_rectangles([[(0, 0), (0, 40), (59, 40), (59, 0)]])
    dock.settle()
    assert not any(isinstance(layer, Labels) for layer in viewer.layers if not is_preview(layer))
    assert dock.find.count.said == "2 of 3 objects"
    dock.find_similar(dock.scene.in_view[[1]])
    dock.find.likeness.value = 0.99
    dock.settle()
    assert dock.find.count.said == "1 of 3 objects"
    dock.find.inside.value = False
    dock.settle()
    assert dock.find.count.said == "2 of 6 objects"
    dock.find.inside.value = True
    dock.find.take_button.native.click()
    assert np.count_nonzero(labels_of(viewer).data) == 14 * 20


def test_stepping_goes_from_the_best_on_and_moves_the_camera(viewer, dock):
    ask(dock, "bright | dark")
    viewer.scene.camera.zoom = 40
    viewer.scene.camera.center = (0, 30, 45)
    dock.find.forth.native.click()
    assert dock.find.place.said.startswith("1 of 4 · ")
    assert dock.preview._ring is not None
    assert viewer.scene.camera.center[1:] != (30, 45)
    for _ in range(3):
        dock.step(1)
    assert dock.find.place.said.startswith("4 of 4 · ")
    dock.find.forth.native.click()
    assert dock.find.place.said.startswith("1 of 4 · ")
    dock.find.back.native.click()
    assert dock.find.place.said.startswith("4 of 4 · ")


@pytest.mark.parametrize("text", ["", " | ,"])
def test_no_words_are_said_and_lose_nothing(dock, text):
    ask(dock, "bright")
    ask(dock, text)
    assert "words for what is wanted" in dock.status.message.text()
    assert dock.find.count.said == "2 of 6 objects"


def test_looking_at_objects_can_be_cancelled_and_the_newest_question_wins(
    dock, scorer, monkeypatch, qtbot
):
    gate, embed = Event(), scorer.embed

    def wait(*arguments, cancelled, looked):
        looked(1, 6)
        while not gate.wait(0.01):
            if cancelled():
                return None
        return embed(*arguments, cancelled=cancelled, looked=looked)

    monkeypatch.setattr(scorer, "embed", wait)
    dock.find.words.text = "bright"
    dock.find.words.ask()
    qtbot.waitUntil(lambda: "1 of 6" in dock.status.message.text())
    assert dock.status.running.isVisibleTo(dock.native)
    dock.status.cancel_button.click()
    dock.settle()
    assert dock.find.count.said == words.ASK_HERE
    assert scorer.looks == []
    dock.find.words.ask()
    ask_soon = ["dark", "grey"]
    for text in ask_soon:
        dock.find.words.text = text
        dock.find.words.ask()
    gate.set()
    dock.settle()
    assert scorer.looks == [6]
    assert shown(dock) == {GREY}


def test_words_on_all_planes_are_one_step_with_features(viewer, dock, scorer):
    viewer.layers.clear()
    stack = np.stack([scene(), np.roll(scene(), 1, 1), np.roll(scene(), 2, 1)])
    viewer.add_image(stack, rgb=True)
    dock.settle()
    dock.find.words.text = "bright"
    dock.words_stack_button.native.click()
    dock.settle()
    labels = labels_of(viewer)
    assert found(labels) == [1, 2]  # linked
    assert set(np.unique(stack[labels.data > 0])) == {BRIGHT}
    features = labels.features.set_index("index")
    assert features["text"].to_dict() == {1: "bright", 2: "bright"}
    assert features["planes"].to_dict() == {1: 3, 2: 3}
    assert dock.status.message.text().startswith("2 new objects.")
    dock.undo()
    dock.settle()
    assert found(labels) == []
    assert "text" not in labels.features


def test_nothing_of_clip_is_imported_before_words_are_used():
    code = "import sys, napari_fastsam._napari.widget; print('open_clip' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_tab_is_no_wider_than_the_others(dock):
    pages = [dock.click.native, dock.all.native, dock.stack.native]
    assert dock.find.native.minimumSizeHint().width() <= max(
        page.minimumSizeHint().width() for page in pages
    )


def test_words_are_offered_again_the_last_first(dock):
    for text in ("bright", "dark", "bright"):
        ask(dock, text)
    assert dock.find.words.value == "bright ; dark"
    dock.find.words.setCurrentIndex(1)
    dock.find.words.activated.emit(1)
    dock.settle()
    assert shown(dock) == {110}


def test_words_asked_before_the_plane_was_looked_at_are_answered_then(viewer, dock, scorer):
    viewer.layers.clear()
    viewer.add_image(scene(), rgb=True)
    ask(dock, "bright")
    assert dock.find.count.said == "2 of 6 objects"


def test_another_plane_waits_for_enter_and_what_was_seen_answers_at_once(viewer, dock, scorer):
    viewer.layers.clear()
    viewer.add_image(np.stack([scene(), scene()[:, ::-1]]), rgb=True)
    dock.settle()
    viewer.dims.set_point(0, 0)
    dock.settle()
    ask(dock, "bright")
    viewer.dims.set_point(0, 1)
    dock.settle()
    assert dock.find.count.said == words.ASK_HERE
    assert shown(dock) == set()
    ask(dock, "bright")
    assert dock.find.count.said == "2 of 6 objects"
    viewer.dims.set_point(0, 0)
    dock.settle()
    assert dock.find.count.said == "2 of 6 objects"
    assert scorer.looks == [6, 6]


def test_words_without_an_image_or_objects_say_what_is_missing(viewer, dock, scorer):
    viewer.layers.clear()
    ask(dock, "bright")
    assert dock.status.message.text() == words.NO_IMAGE
    viewer.add_image(np.zeros((20, 20), np.uint8))
    dock.settle()
    ask(dock, "bright")
    assert dock.status.message.text() == words.NO_CANDIDATES
    assert not dock.find.take_button.enabled
    assert scorer.looks == []


def test_a_scorer_that_fails_is_told_once_and_asked_again_by_enter(
    dock, scorer, monkeypatch, notices
):
    with monkeypatch.context() as broken:
        error = FileNotFoundError("Expected a CLIP, but there is none.")
        broken.setattr(scorer, "embed", lambda *_, **__: (_ for _ in ()).throw(error))
        ask(dock, "bright")
        assert dock.status.message.text() == str(error)
        assert notices == [str(error)]
        notices.clear()
    assert dock.find.count.said == words.ASK_HERE
    ask(dock, "bright")
    assert dock.find.count.said == "2 of 6 objects"


def test_a_drag_draws_where_to_look(viewer, dock):
    dock.find.inside.value = True
    ask(dock, "bright")
    dock.add_box((0.0, 0.0, 60.0, 40.0))
    dock.settle()
    assert dock.find.count.said == "1 of 3 objects"
    assert not any(isinstance(layer, Labels) for layer in viewer.layers if not is_preview(layer))


def test_labels_are_written_over_where_they_give_way(viewer, dock):
    dock.output.value = labels = viewer.add_labels(np.full((60, 90), 7))
    ask(dock, "bright")
    assert dock.find.count.said == "0 of 6 objects · 2 labelled already"
    dock.settings.existing.value = "overwrite"
    assert dock.find.count.said == "2 of 6 objects"
    dock.find.take_button.native.click()
    assert found(labels) == [7, 8, 9]
    assert dock.find.count.said == "0 of 6 objects · 2 labelled already"


def test_only_unwanted_words_ask_for_all_else(dock, scorer):
    ask(dock, "not grey")
    assert dock.find.count.said == "4 of 6 objects"
    assert scorer.looks == [6]


def test_only_searches_are_recorded_with_what_compared(viewer, dock):
    dock.current_tab = "click"
    points = viewer.add_points()
    points.add((28, 10))
    dock.current_tab = "find"
    ask(dock, "bright")
    dock.find.take_button.native.click()
    points.add((48, 10))
    record = labels_of(viewer).metadata[PROVENANCE]
    assert [step.get("source", 0) for step in record["steps"]] == [0, 1, 0]
    assert ["scorer" in source for source in record["sources"]] == [False, True]


def known(labels, likeness, scorer=None):
    """Return a searching on a plane of these labels (H, W), whose objects look like that."""
    candidates = fs.Instances.from_labels(labels)
    angles = np.arccos(np.asarray(likeness, float))
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    return Seen(candidates, 0, looks=fs.Looks(vectors, scorer or GreyScorer()))


def answered(searching, seen, threshold, *, top_k=None, taken=()):
    terms = Terms(threshold=0.5, likeness=threshold, top_k=top_k)
    there = np.isin(np.arange(len(seen.candidates)), taken)
    searching.answer(seen, searching.prompts(terms), terms, there)
    return searching.answers.candidates.tolist()


@pytest.fixture
def alike():
    """A searching by example, and a plane with four objects, each less like the first."""
    labels = np.repeat(np.arange(1, 5), 4)[None].repeat(4, 0)
    seen = known(labels, [1, 0.95, 0.9, 0.6])
    searching = Searching()
    searching.turn_to("image", ())
    searching.ask(None)
    searching.toggle_example(seen.candidates[[0]])
    return searching, seen


def test_what_was_clicked_away_is_the_same_object_on_all_terms(alike):
    searching, seen = alike
    assert answered(searching, seen, 0.5) == [0, 1, 2, 3]
    assert searching.toggle((0, 5))
    assert searching.without == {1}
    assert answered(searching, seen, 0.97) == [0]
    assert searching.without == frozenset()
    assert answered(searching, seen, 0.8) == [0, 1, 2]
    assert searching.without == {1}
    assert searching.toggle((0, 5))
    assert searching.without == frozenset()


def test_at_most_so_many_are_those_that_can_be_taken(alike):
    searching, seen = alike
    assert answered(searching, seen, 0.5, top_k=2) == [0, 1]
    assert answered(searching, seen, 0.5, top_k=2, taken=[0]) == [1, 2]
    assert searching.left_out == [0, 3]
    assert searching.answers.taken == 1


def test_labels_are_read_once_however_many_objects_there_are():
    objects = fs.Instances.from_labels(
        np.kron(np.arange(1, 10).reshape(3, 3), np.ones((5, 5), int))
    )
    plane, reads = np.where(np.arange(15)[:, None] < 5, 7, 0) + np.zeros((15, 15), int), []

    def read(window):
        reads.append(window)
        return plane[window]

    assert labelled(objects, read, "keep").tolist() == [True] * 3 + [False] * 6
    assert len(reads) == 1
