import json
from types import SimpleNamespace

import numpy as np
import pytest

from napari_fastsam import Cleanup, Labelling, ModelSpec, Prompts, as_script, provenance, replay
from napari_fastsam.origins import KEY, VERSION, record_of
from test_replaying import IMAGE, do_all, told, work

__all__ = ["work"]


def test_labels_that_say_nothing_are_refused(blobs):
    layer = SimpleNamespace(name="mine", metadata={}, data=np.zeros((3, 3), int))
    for nothing in (layer, {}, np.zeros(3)):
        with pytest.raises(ValueError, match=r"how they were made.*To fix it"):
            replay(nothing, IMAGE, model=blobs)
        with pytest.raises(ValueError, match=r"how they were made.*To fix it"):
            as_script(nothing)


def test_a_later_version_is_refused(work, blobs):
    with pytest.raises(ValueError, match=rf"version {VERSION}.*version 99.*newer"):
        record_of({**told(work), "version": 99})


def test_a_layer_says_it_in_its_metadata(work):
    layer = SimpleNamespace(metadata={KEY: told(work)})
    assert record_of(layer) == record_of(told(work))
    assert as_script(layer) == as_script(told(work))


def test_a_record_of_which_a_part_was_lost_is_refused(work):
    with pytest.raises(ValueError, match="without sources and start"):
        record_of({"version": VERSION, "labels": {}, "steps": []})


def test_numbers_of_numpy_are_plain(blobs):
    spec = ModelSpec(image_size=np.int64(64), iou=np.float32(0.5))
    work = Labelling.of(IMAGE, spec, axes="YX")
    assert work.sources[0]["model"]["image_size"] == 64
    work = Labelling.of(IMAGE, blobs, axes="YX")
    work.take(
        Prompts(points=[(6, 6)]),
        labels=[np.int64(3)],
        choices=np.array([0]),
        cleanup=Cleanup(opening=np.int64(1), smoothing=np.float32(0.5), largest_piece=np.True_),
    )
    work.remove(np.array([3]))
    work.segment(
        confidence=np.float32(0.25), min_area=np.int32(2), cleanup=Cleanup(opening=np.int8(1))
    )
    assert json.dumps(provenance(work))
    json.dumps(spec_told := Labelling.of(IMAGE, spec, axes="YX").sources)
    assert spec_told


def test_steps_that_only_moved_prompts_are_not_told(work):
    with work.together("moved"):
        pass
    assert provenance(work)["steps"] == []


def test_provenance_copies_no_records(work):
    do_all(work)
    steps = provenance(work)["steps"]
    assert all(one is other for one, other in zip(steps, work.history.records, strict=True))
