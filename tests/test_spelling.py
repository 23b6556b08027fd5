from dataclasses import asdict

import pytest

from napari_fastsam import Cleanup, Display, ModelSpec
from napari_fastsam.spelling import Code, call_code, cleanup_code, model_code, text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (3.0, "3"),
        (2.5, "2.5"),
        ((1,), "(1,)"),
        ([(1.0, 2), None, True], "[(1, 2), None, True]"),
        ('a "cell" in \\ö', '"a \\"cell\\" in \\\\ö"'),
        (("name", Code("name")), '("name", name)'),
    ],
)
def test_values_are_written_as_a_person_would(value, written):
    assert text(value) == written


@pytest.mark.parametrize(
    "spec", [ModelSpec(), ModelSpec(model="FastSAM-s"), ModelSpec(device="cpu", iou=0.5)]
)
def test_a_model_is_what_its_code_makes(spec):
    made = eval(model_code(asdict(spec)), {"fs": __import__("napari_fastsam")})
    assert (made if isinstance(made, ModelSpec) else ModelSpec(model=made)) == spec


def test_dataclasses_are_what_their_code_makes():
    names = {"Cleanup": Cleanup, "Display": Display}
    tidy = Cleanup(opening=2, smoothing=1.5, largest_piece=True)
    assert (
        eval(cleanup_code({"opening": 2, "smoothing": 1.5, "largest_piece": True}), names) == tidy
    )
    shown = Display(contrast_limits=((0.0, 2.5), None), gamma=(1.0, 0.5))
    assert eval(call_code(shown, Display()), names) == shown


def test_a_runtime_is_written_where_one_was_chosen():
    told = {"model": "starter", "refine": True}  # and no runtime, as records from before
    assert model_code(told) == '"starter"'
    assert model_code({**told, "runtime": "onnx"}) == 'fs.ModelSpec(runtime="onnx")'


def test_what_was_made_before_edges_were_refined_is_written_without():
    assert model_code({"model": "starter"}) == "fs.ModelSpec(refine=False)"
