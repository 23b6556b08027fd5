"""Words and examples from the image to the labels: pipeline, labelling, records, replay, script."""

import json
from pathlib import Path

import numpy as np
import pytest

import napari_fastsam as fs
from fakes import BlobSegmenter, GreyScorer
from napari_fastsam import (
    Instances,
    Labelling,
    ModelSpec,
    Prompts,
    Request,
    TextSpec,
    run,
    run_regions,
)
from napari_fastsam.caching import CandidateCache
from napari_fastsam.matching import SIMILAR_THRESHOLD, TEXT_THRESHOLD
from napari_fastsam.pipeline import build_scorer
from napari_fastsam.told import Found
from test_matching import BRIGHT, DARK, GREY, scene


class Searched(BlobSegmenter):
    def __init__(self):
        super().__init__(100)


@pytest.fixture
def scorer():
    return GreyScorer()


def ask(data, scorer, prompts, **options):
    request = Request(data=data, prompts=prompts, key="image", **options)
    return list(run(request, Searched(), scorer=scorer))


def labelled(result, image):
    return {label: int(image[result.labels == label][0, 0]) for label in result.scores}


def test_each_object_that_words_describe_gets_a_label(scorer):
    image = scene()
    (result,) = ask(image, scorer, {(): Prompts(text="bright | dark")})
    assert labelled(result, image) == {1: BRIGHT, 2: BRIGHT, 3: DARK, 4: DARK}
    assert [result.found[n].text for n in range(1, 5)] == ["bright"] * 2 + ["dark"] * 2
    assert all(0.5 <= found.likeness <= 1 for found in result.found.values())
    assert result.numbers == (1, 2, 3, 4)
    assert set(result.scores.values()) == {1.0}


def test_what_examples_find_has_no_words(scorer):
    prompts = Prompts(points=[(28, 10)], similar=True, threshold=0.99)
    (result,) = ask(scene(), scorer, {(): prompts})
    assert labelled(result, scene()) == {1: GREY, 2: GREY}
    assert result.found[1] == Found("", pytest.approx(1, abs=1e-3))


def test_objects_are_looked_at_once_whatever_is_asked(scorer):
    image, cache, model = scene(), CandidateCache(), Searched()
    questions = [
        Prompts(text="bright"),
        Prompts(text="bright", threshold=0.9, top_k=1),
        Prompts(text="dark | grey"),
        Prompts(points=[(8, 10)], similar=True),
    ]
    for prompts in questions:
        request = Request(data=image, prompts={(): prompts}, key="image")
        list(run(request, model, scorer=scorer, cache=cache))
    assert (model.calls, scorer.looks) == (1, [6])
    other = GreyScorer(TextSpec(model="other"))
    list(run(request, model, scorer=other, cache=cache))
    assert (model.calls, other.looks) == (1, [6])


def test_only_what_can_answer_is_looked_at(scorer):
    ask(scene(), scorer, {(): Prompts(text="bright", boxes=[(0, 0, 60, 40)])})
    ask(scene(), scorer, {(): Prompts(points=[(8, 10)])})
    assert scorer.looks == [3]


def test_objects_that_are_seen_together_are_all_looked_at():
    scorer = GreyScorer(TextSpec(model="grey", mode="dense"))
    ask(scene(), scorer, {(): Prompts(text="bright", boxes=[(0, 0, 60, 40)])})
    assert scorer.looks == [6]


def test_looks_belong_to_the_one_who_asked_last():
    cache, model = CandidateCache(), Searched()
    request = Request(data=scene(), prompts={(): Prompts(text="dark")}, key="image")
    first, again = GreyScorer(), GreyScorer()
    for scorer in (first, GreyScorer(TextSpec(model="other")), again, again):
        list(run(request, model, scorer=scorer, cache=cache))
    assert cache.get(request.place(model, ())).looks.scorer is again
    assert again.looks == [6]
    same = GreyScorer()
    list(run(request, model, scorer=same, cache=cache))
    assert cache.get(request.place(model, ())).looks.scorer is same
    assert same.looks == []


def test_looks_are_counted_in_the_cache(scorer):
    cache = CandidateCache()
    request = Request(data=scene(), prompts={(): Prompts(points=[(8, 10)])}, key="image")
    list(run(request, Searched(), cache=cache))
    before = cache.nbytes
    request = Request(data=scene(), prompts={(): Prompts(text="dark")}, key="image")
    list(run(request, Searched(), scorer=scorer, cache=cache))
    assert cache.nbytes == before + 6 * 2 * 4


def test_words_on_every_plane_linked(scorer):
    stack = np.stack([scene(), np.roll(scene(), 1, 1), np.roll(scene(), 2, 1)])
    told = []
    labels = fs.segment_stack(
        stack,
        Searched(),
        axes="ZYXC",
        text="bright",
        link=True,
        scorer=scorer,
        progress=lambda done, total: told.append((done, total)),
    )
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert (np.unique(stack[labels > 0]) == BRIGHT).all()
    assert all((labels == n).any((1, 2)).all() for n in (1, 2))
    assert told == [(1, 3), (2, 3), (3, 3)]
    counted = fs.segment_stack(stack, Searched(), axes="ZYXC", text="bright", scorer=scorer)
    assert np.unique(counted).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_either_prompts_or_text():
    with pytest.raises(ValueError, match="either prompts or text"):
        fs.segment_stack(scene(), Searched(), text="a", prompts={(): Prompts(points=[(1, 1)])})


def test_regions_are_the_same_as_labels(scorer):
    request = Request(data=scene(), prompts={(): Prompts(text="grey | dark")})
    (whole,) = run(request, Searched(), scorer=scorer)
    (plane,) = run_regions(request, Searched(), scorer=scorer)
    assert (plane.labels((0, 0, 60, 90)) == whole.labels).all()
    assert plane.found == whole.found
    assert plane.numbers == whole.numbers


def test_a_cancelled_search_gives_nothing_and_keeps_no_half(scorer):
    cache, asked = CandidateCache(), []

    def cancelled():
        asked.append(1)
        return len(asked) > 3

    request = Request(data=scene(), prompts={(): Prompts(text="dark")}, key="image")
    assert not list(run(request, Searched(), scorer=scorer, cache=cache, cancelled=cancelled))
    assert len(cache) == 1  # the network's pass is not lost
    (result,) = run(request, Searched(), scorer=scorer, cache=cache)
    assert len(result.scores) == 2


def test_what_is_missing_for_words_is_told_before_the_network_runs(tmp_path):
    model = Searched()
    request = Request(data=scene(), prompts={(): Prompts(text="dark")})
    with pytest.raises(FileNotFoundError):
        list(run(request, model, scorer=tmp_path / "none.safetensors"))
    assert model.calls == 0


def test_an_empty_plane_needs_no_scorer():
    (result,) = ask(np.zeros((9, 9), np.uint8), _Untouchable(), {(): Prompts(text="dark")})
    assert not result.labels.any()
    assert result.found == {}


def test_a_plane_of_faint_candidates_has_no_answer_and_needs_no_scorer():
    class Faint(Searched):
        def segment(self, image):
            found = super().segment(image)
            scores = np.full(len(found), 0.1, np.float32)
            return Instances(found.shape, found.bboxes, scores, found.buffer)

    for prompts in (Prompts(text="dark"), Prompts(text="not dark")):
        request = Request(data=scene(), prompts={(): prompts})
        (result,) = run(request, Faint(), scorer=_Untouchable())
        assert not result.labels.any()


def test_axes_that_are_named_are_not_guessed(scorer):
    stack = np.zeros((1, 1, 1, *scene().shape), np.uint8)
    stack[...] = scene()
    labels = fs.segment_stack(stack, Searched(), axes="QTZYXC", text="bright", scorer=scorer)
    assert labels.max() == 2


class _Untouchable(GreyScorer):
    def embed(self, *_, **__):
        pytest.fail("there is nothing to look at")

    score = embed


def test_what_is_no_scorer_is_refused():
    with pytest.raises(TypeError, match="what compares objects with words"):
        build_scorer(Searched())
    assert build_scorer(scorer := GreyScorer()) is scorer


def test_a_labelling_takes_every_answer_as_an_object_of_its_own(scorer):
    image = scene()
    work = Labelling.of(image, Searched(), scorer=scorer)
    outcomes = work.take(Prompts(text="bright | dark"))
    assert outcomes == [("new", 1), ("new", 2), ("new", 3), ("new", 4)]
    assert len(work.history) == 1
    work.give_back(3)
    assert np.unique(work.labels).tolist() == [0, 1, 2, 4]
    work.undo()
    work.undo()
    assert not work.labels.any()
    work.redo()
    assert np.unique(work.labels).tolist() == [0, 1, 2, 3, 4]


def test_answers_can_be_left_out(scorer):
    work = Labelling.of(scene(), Searched(), scorer=scorer)
    outcomes = work.take(Prompts(text="bright | dark"), without=[0, 3])
    assert outcomes == [("new", 1), ("new", 2)]
    assert {int(v) for v in scene()[work.labels > 0][:, 0]} == {BRIGHT, DARK}
    with pytest.raises(ValueError, match="numbers of answers to leave out, from 0 to 3"):
        work.take(Prompts(text="bright | dark"), without=[4])


def test_what_is_there_is_kept(scorer):
    work = Labelling.of(scene(), Searched(), scorer=scorer)
    work.take(Prompts(points=[(8, 10)]))
    assert sorted(work.take(Prompts(text="bright"))) == [("new", 2), ("taken", None)]
    assert (work.labels == 1).sum() == 14 * 20


def test_a_run_over_planes_searches(scorer):
    stack = np.stack([scene(), scene()])
    work = Labelling.of(stack, Searched(), axes="ZYXC", scorer=scorer)
    work.segment(prompts={0: Prompts(text="dark"), 1: Prompts(text="dark")}, link=True)
    assert np.unique(work.labels).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts(text="bright | dark, not grey", threshold=0.25, top_k=1),
        Prompts(points=[(28, 10)], boxes=[(0, 0, 20, 30)], similar=True, threshold=0.99),
    ],
)
def test_searches_are_replayed_exactly(prompts, scorer):
    stack = np.stack([scene(), np.roll(scene(), 3, 1)])
    work = Labelling.of(stack, Searched(), axes="ZYXC", scorer=scorer)
    work.take(prompts, plane=1, without=[1] if prompts.text else [])
    work.segment(prompts={0: prompts, 1: prompts}, existing="overwrite")
    told = json.loads(json.dumps(fs.provenance(work)))
    assert [source["scorer"]["model"] for source in told["sources"]] == ["grey"]
    assert told["steps"][0]["prompts"]["threshold"] == prompts.threshold
    assert (fs.replay(told, stack, model=Searched(), scorer=GreyScorer()) == work.labels).all()


def test_what_is_the_default_now_is_written_down(scorer):
    work = Labelling.of(scene(), Searched(), scorer=scorer)
    work.take(Prompts(text="bright"))
    work.take(Prompts(points=[(48, 10)], similar=True))
    asked = [step["prompts"]["threshold"] for step in fs.provenance(work)["steps"]]
    assert asked == [TEXT_THRESHOLD, SIMILAR_THRESHOLD]


def test_an_answer_more_on_a_plane_leaves_those_on_others_their_numbers(scorer):
    stack = np.stack([scene(), scene(), scene()])
    work = Labelling.of(stack, Searched(), axes="ZYXC", scorer=scorer)
    work.segment(prompts={n: Prompts(text="bright") for n in range(3)})
    told = json.loads(json.dumps(fs.provenance(work)))
    told["steps"][0]["prompts"][0]["prompts"]["threshold"] = 0.0  # as if more were borderline
    again = fs.replay(told, stack, model=Searched(), scorer=GreyScorer())
    assert (again[1:] == work.labels[1:]).all()


def test_another_clip_of_the_same_name_is_refused(scorer):
    work = Labelling.of(scene(), Searched(), scorer=scorer)
    work.take(Prompts(text="bright"))
    told = json.loads(json.dumps(fs.provenance(work)))
    path = Path(fs.__file__).parent / "models" / "starter.safetensors"
    told["sources"][0] |= {"scorer": {"model": str(path)}, "scorer_sha256": "0" * 64}
    with pytest.raises(ValueError, match=r"the CLIP .* with SHA-256 0000"):
        fs.replay(told, scene(), model=Searched())


def test_a_search_takes_no_labels(scorer):
    work = Labelling.of(scene(), Searched(), scorer=scorer)
    for options in ({"labels": [7, 3]}, {"choices": [0, 0]}):
        with pytest.raises(ValueError, match="without labels and choices"):
            work.take(Prompts(text="bright"), **options)


def test_numbers_that_others_used_meanwhile_are_left_out_again(scorer, monkeypatch):
    monkeypatch.setattr("napari_fastsam.looking.build_scorer", lambda _: GreyScorer())
    work = Labelling.of(scene(), Searched(), scorer=TextSpec(model="grey"))
    work.reserve(4)
    work.take(Prompts(text="dark"))
    assert np.unique(work.labels).tolist() == [0, 5, 6]
    again = fs.replay(fs.provenance(work), scene(), model=Searched())
    assert (again == work.labels).all()


def test_the_model_spec_says_nothing_of_words():
    assert not hasattr(ModelSpec(), "text")
    assert hash(TextSpec()) == hash(TextSpec(model="ViT-B-32"))
