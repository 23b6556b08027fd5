"""One label array under construction: what is taken, given back, tidied and painted, step by step.

Each step can be undone and redone, and leaves a record in plain words and numbers, from which
`replay` makes the same labels again. The dock widget and scripts use the same class.

An object keeps its number while its prompts change, two objects never share one, and what a person
painted stays: a step only changes pixels that are as it found them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.canvas import ArrayCanvas, position
from napari_fastsam.cleanup import Cleanup, clean, tidy
from napari_fastsam.closer import Seen
from napari_fastsam.looking import Looking
from napari_fastsam.objects import Objects, Outcome
from napari_fastsam.placing import check_existing
from napari_fastsam.planes import PlaneAxes
from napari_fastsam.prompts import Prompts
from napari_fastsam.records import plain
from napari_fastsam.selection import DEFAULT_CONFIDENCE, Selection, everything, select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from napari_fastsam.canvas import Canvas
    from napari_fastsam.closer import Window
    from napari_fastsam.instances import Instances
    from napari_fastsam.matching import Looks
    from napari_fastsam.pipeline import Index, Request, Scorer
    from napari_fastsam.placing import Existing
    from napari_fastsam.planes import Display
    from napari_fastsam.plans import Planned
    from napari_fastsam.segmenter import ModelSpec, Segmenter


class Labelling(Objects):
    """A label array and all that was done to it.

    Parameters
    ----------
    canvas
        Where labels are written, as `ArrayCanvas`.
    candidates
        Called with the position of a plane and prompts; returns the candidates to choose from, best
        with where the plane was looked at closer: replaying needs that.
    first
        The first free label, or a function that returns it, called from any thread when it is
        needed; ``None`` for one after the largest that is there.
    max_bytes
        Memory for steps that can be undone.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fastsam import Instances, Prompts
    >>> from napari_fastsam.canvas import ArrayCanvas
    >>> cells = Instances.from_labels(np.array([[1, 1, 0, 2], [1, 1, 0, 2]]))
    >>> work = Labelling(ArrayCanvas(np.zeros((2, 4), int)), lambda plane, prompts: cells)
    >>> work.take(Prompts(points=[(0, 3)]))
    [Outcome(state='new', label=1)]
    >>> work.canvas.array
    array([[0, 0, 0, 1],
           [0, 0, 0, 1]])
    >>> work.undo() is not None, work.canvas.array.any()
    (True, np.False_)
    """

    def __init__(
        self,
        canvas: Canvas,
        candidates: Callable[[Index, Prompts], Instances | Seen],
        *,
        first: int | Callable[[], int] | None = None,
        max_bytes: int = 256 << 20,
    ) -> None:
        super().__init__(canvas, first=first, max_bytes=max_bytes)
        self.candidates = candidates
        self.sources: list[dict[str, Any]] = []

    @classmethod
    def of(
        cls,
        image: Any,
        model: str | PathLike[str] | ModelSpec | Segmenter = "starter",
        *,
        axes: str | None = None,
        display: Display | None = None,
        closer: bool = True,
        scorer: Scorer | None = None,
        labels: Any = None,
    ) -> Labelling:
        """Return a labelling of an image.

        Parameters
        ----------
        image, model, axes, display, closer, scorer
            As for `see`.
        labels
            What is there already and is gone on with, in place: an array of integers (NumPy, zarr)
            of the image's shape without channels. ``None`` makes an empty one, see `labels`.

        Examples
        --------
        >>> from napari_fastsam import Prompts
        >>> from skimage.data import coins
        >>> work = Labelling.of(coins())
        >>> work.take(Prompts(points=[(56, 101)]))
        [Outcome(state='new', label=1)]
        """
        looking = Looking(image, model, axes=axes, display=display, closer=closer, scorer=scorer)
        letters, sizes = _without_channels(looking.axes)
        first = 1 if labels is None else None  # nothing to read in an empty array
        labels = np.zeros(sizes, np.uint32) if labels is None else labels
        work = cls(ArrayCanvas(labels, PlaneAxes(letters, sizes)), looking, first=first)
        work.sources.append(looking.record())
        return work

    def see(
        self,
        image: Any,
        model: str | PathLike[str] | ModelSpec | Segmenter = "starter",
        *,
        axes: str | None = None,
        display: Display | None = None,
        closer: bool = True,
        scorer: Scorer | None = None,
    ) -> None:
        """Choose from what a model finds in an image, from now on.

        Parameters
        ----------
        image
            An array (NumPy, dask, zarr), a pyramid of them with the finest first, or an image
            layer. Other axes than before are other planes of the same labels.
        model
            A `FastSAM`, another `Segmenter`, a `ModelSpec`, a name of the registry or a path.
        axes
            A letter for each axis, as ``"ZYX"``; ``None`` guesses from the shape.
        display
            How intensities become what the network sees.
        closer
            Whether a plane is looked at closer where a prompt has no answer.
        scorer
            What compares objects with words and examples, as for `run`.
        """
        looking = Looking(image, model, axes=axes, display=display, closer=closer, scorer=scorer)
        self.canvas = ArrayCanvas(self.labels, PlaneAxes(*_without_channels(looking.axes)))
        self.candidates = looking
        self._tell_source()

    def _tell_source(self, *, searching: bool = False) -> None:
        """Note what the steps from now on choose from; of a search what knows the words as well."""
        if not isinstance(self.candidates, Looking):
            return
        record = self.candidates.record(searching=searching)
        if not len(self.history) and self.history.next is None:
            self.sources.clear()  # nothing was chosen from it
        if record not in self.sources:
            self.sources.append(record)
        number = self.sources.index(record)
        self.context = {"source": number} if number else {}

    @property
    def labels(self) -> Any:
        """The label array."""
        assert isinstance(self.canvas, ArrayCanvas)
        return self.canvas.array

    def take(
        self,
        prompts: Prompts,
        *,
        plane: Index | int = (),
        labels: Sequence[int | None] | None = None,
        choices: Sequence[int] | None = None,
        without: Sequence[int] = (),
        existing: Existing = "keep",
        cleanup: Cleanup | None = None,
    ) -> list[Outcome]:
        """Take the object that answers each question of some prompts, as one step.

        Parameters
        ----------
        prompts
            Q questions about one plane; or a search by words or examples, of which every answer is
            taken.
        plane
            Its position on the stepped axes; a number will do where only one axis is stepped.
        labels
            For each question the label whose object it asks for anew, or ``None`` for an object
            with a number of its own. An object on another plane is left for the new one, unless it
            is one of those that a run over many planes gave the label to.
        choices
            For each question how many answers are passed over, as `Selection.cycle` does.
        without
            Of a search, the numbers of answers that are left out, counted from 0 as
            `Selection.answers` has them.
        existing
            Whether objects that are there stay on top (``"keep"``) or not (``"overwrite"``, and
            ``"clear"``, which clears nothing here).
        cleanup
            How each object is tidied before it is written.

        Returns
        -------
        What came of each question, or of each answer that was not left out.

        Raises
        ------
        ValueError
            If there is no such plane, or labels or choices do not fit the questions.
        """
        _check_prompts(prompts)
        check_existing(existing)
        plane = position(self.canvas.axes, plane)
        fail_if(
            prompts.searching and (labels is not None or choices is not None),
            "a search without labels and choices: nobody knows how many objects answer",
            "some",
            "leave them out, and name in `without` which answers are not wanted",
        )
        pool, looked, looks = self._look(plane, prompts)
        selection = select(pool, prompts, looks=looks)
        if prompts.searching:
            selection = single_answers(selection, without)
            self._tell_source(searching=True)
        count = len(selection)
        labels = [None] * count if labels is None else list(labels)
        choices = [0] * count if choices is None else list(choices)
        self._check(count, labels, choices)
        labels = [None if label is None else int(label) for label in labels]
        objects: list[Instances | None] = []
        for ranked, choice in zip(selection.ranked, choices, strict=True):
            answer = selection.candidates[[ranked[choice % len(ranked)]]] if len(ranked) else None
            tidied = answer if answer is None else tidy(answer, cleanup or Cleanup())
            objects.append(tidied if tidied is not None and len(tidied) else None)
        moved = {
            n
            for n in labels
            if n in self.objects and n not in self._spread and not self._lies(n, plane)
        }
        with self.together():
            self.remove(sorted(moved))
            outcomes, record = self._put(plane, list(zip(labels, objects, strict=True)), existing)
        if record is not None:
            record |= plain(
                do="take",
                prompts=prompts,
                choices=choices if any(choices) else None,
                without=list(without) or None,
                existing=existing,
                cleanup=cleanup,
                looked=looked,
            )
        return outcomes

    def everything(
        self,
        objects: Instances | None = None,
        *,
        plane: Index | int = (),
        confidence: float = DEFAULT_CONFIDENCE,
        min_area: int = 0,
        max_area: int | None = None,
        without: Sequence[int] = (),
        existing: Existing = "keep",
        cleanup: Cleanup | None = None,
        how: dict[str, Any] | None = None,
    ) -> Planned:
        """Take all objects of a plane, as one step.

        Parameters
        ----------
        objects
            Those chosen already; ``None`` chooses among the plane's candidates.
        plane
            Its position on the stepped axes.
        confidence, min_area, max_area
            As for `everything`, of which `without` numbers are left out, counted from 0.
        existing
            What becomes of objects that are there.
        cleanup
            How the objects are tidied together.
        how
            How `objects` were chosen, for the record: any of confidence, min_area, max_area and
            without.

        Returns
        -------
        What was written: how many objects are `new`, and how many had a place that was `taken`.

        Raises
        ------
        ValueError
            If there is no such plane or no such object, or the objects are on another one.
        """
        check_existing(existing)
        plane = position(self.canvas.axes, plane)
        if objects is None:
            how = plain(confidence=confidence, min_area=min_area, max_area=max_area)
            how |= plain(without=list(without) or None)
        looked = None
        if objects is None or how is not None:
            pool, looked, _ = self._look(plane, Prompts())
        if objects is None:
            objects = chosen(pool, **(how or {}))
        found = clean(objects.to_labels(), cleanup or Cleanup())
        with self.together():
            planned = self._plan(plane, found, existing, self._numbers)
            record = plain(do="everything", plane=plane, existing=existing, cleanup=cleanup)
            record |= plain(how=how, numbers=list(planned.numbers.items()), looked=looked)
            self.write(
                planned, record if how is not None else plain(do="paint", edits=[planned.edit])
            )
        return planned

    def segment(
        self,
        planes: Sequence[Index | int] | None = None,
        *,
        prompts: Mapping[Index, Prompts] | Mapping[int, Prompts] | None = None,
        confidence: float | None = None,
        min_area: int = 0,
        max_area: int | None = None,
        link: bool = False,
        existing: Existing = "keep",
        cleanup: Cleanup | None = None,
    ) -> None:
        """Take everything, or what prompts ask for, on many planes, as one step.

        Only for a labelling of an image, see `of` and `see`.

        Parameters
        ----------
        planes
            Their positions on the stepped axes; ``None`` is all of them.
        prompts, confidence, min_area, max_area, link, cleanup
            As for `Request`.
        existing
            What becomes of objects that are there.

        Raises
        ------
        ValueError
            If a plane is not there or cannot be shown. Those before it stay, as one step.
        """
        check_existing(existing)
        self._alone("a run over planes")
        looking = self.candidates
        fail_if(
            not isinstance(looking, Looking),
            "a labelling of an image",
            "one with candidates of its own",
            "make it with Labelling.of(image), or call see(image) first",
        )
        assert isinstance(looking, Looking)
        axes = looking.axes
        if prompts is not None:
            for one in prompts.values():
                _check_prompts(one)
            prompts = {position(axes, plane): one for plane, one in prompts.items()}
        request = looking.request(
            indices=None if planes is None else tuple(position(axes, n) for n in planes),
            prompts=prompts,
            confidence=confidence,
            min_area=min_area,
            max_area=max_area,
            link=link,
            cleanup=cleanup or Cleanup(),
        )
        self._tell_source(searching=request.searching)
        step = None
        numbers: dict[int, int] = {}
        for result in looking.run(request):
            step = step or self.begin(run_record(request, existing))
            if counts_on_each_plane(request):
                numbers = {}
            planned = self.plan(
                result.index,
                result.labels,
                existing,
                numbers,
                windows=result.windows,
                keep=prompts is not None,
            )
            self.write(planned, step=step)

    def _look(
        self, plane: Index, prompts: Prompts
    ) -> tuple[Instances, list[Window] | None, Looks | None]:
        """Return a plane's candidates, where it was looked at closer, and what they look like.

        ``None`` is what nobody says.
        """
        seen = self.candidates(plane, prompts)
        if isinstance(seen, Seen):
            return seen.candidates, list(seen.windows), seen.looks
        return seen, None, None

    def _check(self, count: int, labels: Sequence[int | None], choices: Sequence[int]) -> None:
        """Refuse labels and choices that do not fit the questions."""
        fail_if(
            len(labels) != count or len(choices) != count,
            f"one label, or None, and one choice for each of {count} questions",
            f"{len(labels)} labels and {len(choices)} choices",
            "see Prompts.questions for their order",
        )
        fail_if(
            not all(isinstance(choice, int | np.integer) for choice in choices),
            "whole numbers as choices",
            f"{list(choices)}",
            "pass how many answers are passed over, 0 for none",
        )
        named = [label for label in labels if label is not None]
        largest = np.iinfo(self.canvas.dtype).max
        fail_if(
            not all(isinstance(label, int | np.integer) for label in named)
            or len(set(named)) != len(named)
            or not all(0 < label <= largest for label in named),
            f"different labels, from 1 to {largest}",
            f"{named}",
            "pass None for an object that gets a number of its own",
        )


def single_answers(selection: Selection, without: Sequence[int] = ()) -> Selection:
    """Return the answers to a search, each to a question of its own, but for those numbers."""
    answers = selection.answers
    fail_if(
        not all(0 <= number < len(answers) for number in without),
        f"numbers of answers to leave out, from 0 to {len(answers) - 1}",
        f"{list(without)}",
        "correct them, or leave them out",
    )
    kept = np.delete(answers, np.asarray(without, np.intp))
    return Selection(selection.candidates, tuple(kept[:, None]))


def chosen(candidates: Instances, *, without: Sequence[int] = (), **how: Any) -> Instances:
    """Return what `everything` chooses, but for those numbers (from 0) that are left out."""
    found = everything(candidates, **how)
    fail_if(
        not all(0 <= number < len(found) for number in without),
        f"numbers of objects to leave out, from 0 to {len(found) - 1}",
        f"{list(without)}",
        "correct them, or leave them out",
    )
    keep = np.ones(len(found), bool)
    keep[list(without)] = False
    return found[keep]


def _check_prompts(prompts: Any) -> None:
    """Refuse what are no prompts."""
    fail_if(
        not isinstance(prompts, Prompts),
        "Prompts",
        f"a {type(prompts).__name__}",
        "pass Prompts(points=[(row, column)]), or with boxes, masks, scribbles or text",
        TypeError,
    )


def run_record(request: Request, existing: Existing) -> dict[str, Any]:
    """Return what a run over many planes says of itself; `Planning.write` adds the planes."""
    prompts = request.prompts
    asked = [{"plane": n, "prompts": prompts[n]} for n in request.planes()] if prompts else None
    return plain(
        do="run",
        planes=[],
        numbers=[],
        prompts=asked,
        confidence=request.confidence,
        min_area=request.min_area,
        max_area=request.max_area,
        link=request.link,
        existing=existing,
        cleanup=request.cleanup,
    )


def counts_on_each_plane(request: Request) -> bool:
    """Whether a label means another object on each plane, as with *everything*, not linked."""
    return request.prompts is None and not request.link


def _without_channels(axes: PlaneAxes) -> tuple[str, tuple[int, ...]]:
    """Return the letters and sizes of the labels of an image."""
    return "".join(letter for letter in axes.axes if letter not in "CS"), axes.label_shape
