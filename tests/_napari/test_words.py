import pytest

from napari_fastsam._napari import words
from napari_fastsam._napari.words import Situation, next_step

SITUATIONS = {
    "no image": (Situation(image=False, volume=True, state="ready"), "Open an image"),
    "3D": (Situation(volume=True, state="ready", tab="stack"), "2D"),
    "working": (Situation(state="working"), "as soon as it is done"),
    "nothing found": (Situation(state="none", clicking=True), "No object was found"),
    "ready": (Situation(state="ready"), "Press Click on objects"),
    "clicking": (Situation(state="ready", clicking=True, prompts=True), "Hover over an object"),
    "prompts": (Situation(state="ready", prompts=True), "Press Take all prompts"),
    "sliders": (Situation(state="ready", tab="everything"), "Move the sliders"),
    "flat": (Situation(tab="stack"), "One plane"),
    "stack": (Situation(tab="stack", planes=3), "Everything on all planes"),
    "stack with prompts": (Situation(tab="stack", planes=3, prompts=True), "points and shapes"),
}


@pytest.mark.parametrize(("now", "said"), SITUATIONS.values(), ids=SITUATIONS)
def test_each_situation_says_what_to_do_next(now, said):
    assert said in next_step(now)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.candidates(25, "CPU", 0.21), "25 candidates · CPU · 0.21 s a plane"),
        (words.candidates(1, "CPU", 0), "1 candidate · CPU"),
        (words.candidates(0, "CPU", 0.2), "No candidates · CPU · 0.20 s a plane"),
        (words.everything_count(143, 160), "143 of 160 objects"),
        (words.looking(None), "Looking at the image…"),
        (words.looking(12), "Looking at plane 12…"),
        (words.working("Labelling", 0, 0, 3.2), "Labelling… 3 s"),
        (words.working("Labelling", 12, 80, 24), "Labelling: plane 13 of 80 · 136 s left"),
        (words.working("Downloading x", 3_000_000, 24_000_000, 9), "Downloading x: 3 MB of 24 MB"),
        (words.memory(12_345_678), "candidates 12 MB"),
        (words.memory(63_000), "candidates 63 kB"),
        (words.cleanup([]), "Cleanup: off"),
        (words.colours({}), "Colours: as the image"),
        (words.axis(0, "-3", 5), "along axis 0 (5)"),
        (words.axis(0, "t", 5), "along t (5)"),
    ],
)
def test_numbers_become_sentences(said, expected):
    assert said == expected


def test_one_plane_and_none_are_no_stack():
    assert "no image" in words.stack_of(0)
    assert "single plane" in words.stack_of(1)
    assert words.stack_of(80).startswith("80 planes")


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        (0.312, "29 candidates · CPU · OpenVINO · 0.31 s a plane"),
        (1.66, "29 candidates · CPU · OpenVINO · 1.7 s a plane"),
        (0, "29 candidates · CPU · OpenVINO"),
    ],
)
def test_a_plane_tells_what_looked_at_it_and_how_long(seconds, line):
    assert words.candidates(29, "CPU · OpenVINO", seconds) == line
    whole = words.how_it_runs("starter · CPU · OpenVINO · fp32 · 768 px", seconds)
    assert whole.startswith("starter · CPU · OpenVINO · fp32 · 768 px")
    assert whole.endswith(line.removeprefix("29 candidates · CPU · OpenVINO"))
