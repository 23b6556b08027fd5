"""What a dock works on: an image in view, its candidates, and the labels that come of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from napari_fastsam._checks import fail_if
from napari_fastsam._napari.claims import claim, release
from napari_fastsam._napari.ground import Looks, Sight
from napari_fastsam._napari.labels import check_labels, labels_like
from napari_fastsam._napari.scorers import KeptScorer
from napari_fastsam._napari.work import Work
from napari_fastsam._napari.worker import KeptLabels, KeptModel
from napari_fastsam.closer import Seen
from napari_fastsam.given import FromLabels
from napari_fastsam.instances import Instances
from napari_fastsam.pipeline import CandidateCache
from napari_fastsam.segmenter import ModelSpec, TextSpec
from napari_fastsam.sources import source_record

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

    from napari_fastsam._napari.source import Source
    from napari_fastsam._napari.views import View
    from napari_fastsam._napari.worker import Job
    from napari_fastsam.labelling import Labelling
    from napari_fastsam.pipeline import Index
    from napari_fastsam.prompts import Prompts
    from napari_fastsam.segmenter import Segmenter, TextScorer


class Ran(NamedTuple):
    """How a network runs: its device and runtime, all that it says of itself, and how long."""

    where: str = ""
    description: str = ""
    seconds: float = 0.0


class Scene:
    """An image in view and what is known of it; the ground that prompts are asked on.

    Parameters
    ----------
    viewer
        Whose layers are read and written.
    model
        A segmenter to use in place of those that can be chosen.
    came
        Called with each plane that was looked at.
    looking
        Called when a look begins, ends or fails; see `Looks`.
    scorer
        What compares objects with words, in place of what can be chosen.
    made
        Called with a new Labels layer.
    stepped
        Called after each step, and after each that is undone or redone.
    undo, redo
        Called for the keys of the Labels layer.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        model: Segmenter | None,
        *,
        came: Callable[[Index], None],
        looking: Callable[[Job | None, Index | None, Exception | None], None],
        scorer: TextScorer | None = None,
        made: Callable[[Labels], None],
        stepped: Callable[[], None],
        undo: Callable[[], None],
        redo: Callable[[], None],
    ) -> None:
        self.looks = Looks(CandidateCache(), came=came, changed=looking)
        self.source: Source | None = None
        self.view: View | None = None
        self.labels: Labels | None = None
        self._viewer = viewer
        self._given = None if model is None else KeptModel(model)
        self._in_use = self._kept = self._given
        self._layer: tuple[object, KeptLabels] | None = None
        self._ran: dict[ModelSpec, Ran] = {}
        self.scorer = KeptScorer(TextSpec() if scorer is None else scorer)
        self.is_scorer_given = scorer is not None
        self._versions: WeakKeyDictionary[Layer, object] = WeakKeyDictionary()
        self._works: WeakKeyDictionary[Labels, Work] = WeakKeyDictionary()
        self._made, self._stepped, self._undo, self._redo = made, stepped, undo, redo
        self._checked: Labels | None = None
        self._pixel: Callable[[Sequence[float]], tuple[float, float] | None] = lambda _: None

    def see(
        self,
        source: Source | None,
        view: View | None,
        spec: ModelSpec | None = None,
        *,
        labels: Labels | None = None,
        given: Labels | None = None,
        closer: bool = True,
        download: str = "",
        ahead: Sequence[Index] = (),
    ) -> None:
        """Look at a plane of an image, and write into `labels` from now on (None: a new layer).

        Its objects are those of the layer `given`, if there is one.
        """
        if labels is not self.labels:
            release(self)
        self.source, self.view, self.labels = source, view, labels
        self._checked = None
        if source is None or view is None or spec is None:
            self._pixel = lambda _: None
            self.looks.stop()
            return
        self._pixel = source.to_pixel(view, self._viewer.dims)
        sight = Sight(
            source=source,
            model=self.model(spec, given),
            key=self.key(source),
            closer=closer,
            download=download,
        )
        self.looks.aim(sight, view.index, ahead)

    @property
    def is_given(self) -> bool:
        """Whether a segmenter is used in place of those that can be chosen."""
        return self._given is not None

    @property
    def ran(self) -> Ran:
        """How the network that looks runs, or ran when it looked at what is known already."""
        model = self._in_use
        if model is None:
            return Ran()
        now = Ran(model.where, model.description, model.seconds)
        if not isinstance(model.spec, ModelSpec):
            return now
        if now.where:  # it is built
            self._ran[model.spec] = now
        return self._ran.get(model.spec, now)

    def model(self, spec: ModelSpec, given: Labels | None = None) -> KeptModel:
        """Return the model of a spec, or what stands for it: the same one as long as that stays.

        A network is kept while a layer stands for it.
        """
        if given is not None:
            version = self._version(given)
            if self._layer is None or self._layer[0] is not version:
                labels = FromLabels(given.data, name=str(given.name))
                self._layer = version, KeptLabels(labels)
            self._in_use = self._layer[1]
            return self._in_use
        self._layer = None
        if self._kept is None or (self._kept is not self._given and self._kept.spec != spec):
            self._kept = KeptModel(spec)
        self._in_use = self._kept
        return self._in_use

    def compare_with(self, spec: TextSpec) -> None:
        """Compare objects with words in this way from now on."""
        if not self.is_scorer_given and spec != self.scorer.spec:
            self.scorer = KeptScorer(spec)

    def key(self, source: Source) -> tuple[Hashable, ...]:
        """Return what names an image's candidates in the cache: new data is another image."""
        return (*(self._version(layer) for layer in source.layers), source.key)

    def throw_away(self, image: Layer) -> None:
        """Forget what is known of an image: its pixels have changed."""
        self._versions[image] = object()

    def check_again(self) -> None:
        """See before the next step whether the labels still fit the image: they have moved."""
        self._checked = None

    def pixel(self, position: Sequence[float]) -> tuple[float, float] | None:
        """Return the row and column in view at a world position, None beside the image."""
        return self._pixel(position)

    def candidates(self, index: Index) -> Instances | None:
        """Return what was found on a plane, or None as long as it was not looked at."""
        return self.looks.candidates(index)

    @property
    def in_view(self) -> Instances | None:
        """What was found on the plane in view, or None as long as it was not looked at."""
        return None if self.view is None else self.candidates(self.view.index)

    def look(self, index: Index) -> None:
        """Have a plane looked at."""
        self.looks.want(index)

    def look_closer(self, index: Index, prompts: Prompts) -> bool:
        """Have a plane looked at closer, if that is wanted."""
        return self.looks.look_closer(index, prompts)

    def work(self, *, make: bool) -> Labelling | None:
        """Return the labels' `Labelling`; a new layer is made if there is none and `make` is so.

        Raises
        ------
        ValueError
            If something is to be written, and the layer that was chosen does not fit the image.
        """
        work = self.work_on(make=True) if make else self.written()
        return None if work is None else work.labelling

    @property
    def counting(self) -> bool:
        """Whether labels are read to know which numbers are free."""
        return any(work.counting for work in self._works.values())

    @property
    def work_known(self) -> Work | None:
        """The Labels layer that was worked on, also while nothing can be seen, as in 3D."""
        return None if self.labels is None else self._works.get(self.labels)

    def work_on(self, *, make: bool, searching: bool = False) -> Work | None:
        """Return the Labels layer that is worked on, made if there is none and `make` is so.

        What comes of words or examples (`searching`) is recorded with what compared them.

        Raises
        ------
        ValueError
            If the layer that was chosen does not have the image's pixels, or is another dock's.
        """
        source = self.source
        if source is None or (self.labels is None and not make):
            return None
        if self.labels is None:
            self.labels = self._add_labels(source)
            self._made(self.labels)
        labels = self.labels
        if self._checked is not labels:
            check_labels(labels, source.grid, source.axes)
            fail_if(
                not claim(labels, self),
                "labels that no other dock writes to",
                f"{labels.name!r}, which one does",
                "choose a new layer here, or close the other dock",
            )
            self._checked = labels
        work = self._works.get(labels)
        if work is None:
            work = Work(
                labels,
                source.axes,
                self._known,
                in_view=lambda index: self.view is None or self.view.index == index,
                changed=self._stepped,
                undo=self._undo,
                redo=self._redo,
            )
            self._works[labels] = work
        work.lie(source.axes)
        work.about_to_number()
        if self.looks.sight is not None:
            tell_source(work, self.looks.sight, self.scorer.spec if searching else None)
        return work

    def written(self) -> Work | None:
        """Return the labels that are there; None also where they cannot be worked on."""
        try:
            return self.work_on(make=False)
        except (ValueError, TypeError):  # shown when they are chosen, and by each click
            return None

    def labelled(self, label: int) -> Instances | None:
        """Return the object of a label on the plane in view, None if it is not there."""
        work, view = self.written(), self.view
        if work is None or view is None:
            return None
        taken = work.labelling.object_on(label, view.index)
        if taken is not None:
            return taken.mask
        there = work.canvas.read(view.index) == label
        return Instances.from_masks(there.shape, [there]) if there.any() else None

    def drop(self, layer: Layer) -> None:
        """Let go of a layer that leaves the viewer."""
        if layer in self._works:
            self._works.pop(layer).close()

    def close(self) -> None:
        """Stop looking, call nothing any more, and let go of all layers."""
        self.looks.worker.close()
        release(self)
        for work in list(self._works.values()):
            work.close()
        self._works.clear()
        for layer in list(self._versions):
            layer.events.data.disconnect(self._data_changed)
        self._versions.clear()
        self.looks.cache.clear()

    def _known(self, index: Index, _: Prompts) -> Seen:
        """Return what is known of a plane; no objects as long as it was not looked at."""
        assert self.source is not None
        seen = self.looks.seen(index)
        return Seen(Instances.empty(self.source.axes.plane_shape), 0) if seen is None else seen

    def _add_labels(self, source: Source) -> Labels:
        """Put a new Labels layer just above the image; the selection stays."""
        labels = labels_like(source.image, source.axes, source.grid)
        layers = self._viewer.layers
        selected, active = set(layers.selection), layers.selection.active
        above = list(layers).index(source.image) + 1 if source.image in layers else len(layers)
        layers.insert(above, labels)
        layers.selection = selected
        layers.selection.active = active
        return labels

    def _version(self, layer: Layer) -> object:
        """Return what stands for the pixels of a layer as they are."""
        if layer not in self._versions:
            self._versions[layer] = object()
            layer.events.data.connect(self._data_changed)
        return self._versions[layer]

    def _data_changed(self, event: Any) -> None:
        self._versions[event.source] = object()


def tell_source(work: Work, sight: Sight, scorer: Any) -> None:
    """Note what the next steps choose from, and what compares objects with words, None for none."""
    if work.told_of != (sight, scorer):
        source = source_record(sight.source, sight.model.spec, closer=sight.closer, scorer=scorer)
        work.source(source)
        work.told_of = (sight, scorer)
