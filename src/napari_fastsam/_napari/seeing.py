"""What a dock sees: the plane in view, what is known of it, and what is shown beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.layers import Image as NapariImage
from napari.utils.notifications import notification_manager, show_error

from napari_fastsam._napari import tidying, words
from napari_fastsam._napari.form import Form
from napari_fastsam._napari.labels import check_candidates
from napari_fastsam._napari.models import confirm_download, needs_download
from napari_fastsam._napari.preview import Preview
from napari_fastsam._napari.scene import Scene
from napari_fastsam._napari.sifting import Picking, Sieve, Sifting
from napari_fastsam._napari.source import source_in_view
from napari_fastsam._napari.tidying import Tidying
from napari_fastsam._napari.watching import Watching
from napari_fastsam.segmenter import ModelSpec, TextSpec

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_fastsam._napari.source import Source
    from napari_fastsam._napari.status import State
    from napari_fastsam._napari.views import View
    from napari_fastsam._napari.work import Work
    from napari_fastsam._napari.worker import Job
    from napari_fastsam.cleanup import Cleanup
    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index
    from napari_fastsam.planes import PlaneAxes
    from napari_fastsam.plans import Planned
    from napari_fastsam.segmenter import Segmenter, TextScorer

EXPECTED_ERRORS = (ValueError, TypeError, OSError)
"""Errors that say what to do; any other is shown with its traceback."""


class Seeing(Form):
    """The dock widget as far as it sees: it takes nothing yet."""

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        model: Segmenter | None,
        scorer: TextScorer | None = None,
    ) -> None:
        super().__init__(viewer)
        self.preview = Preview(viewer)
        self.scene = Scene(
            viewer,
            model,
            came=self._came,
            looking=self._looking,
            scorer=scorer,
            made=self._made_labels,
            stepped=self._stepped,
            undo=self.undo,
            redo=self.redo,
        )
        self.sifting = Sifting()
        self.tidying = Tidying(self._show)  # shows beforehand, where the newest question wins
        self.applying = Tidying(self._show)
        self.watching = Watching(viewer, self.look_again, self._pixels_edited)
        self._confirmed: set[str] = set()
        self._turned_to = _Turned()

    def undo(self) -> None:
        """Take the last step back."""
        raise NotImplementedError

    def redo(self) -> None:
        """Do again what was taken back."""
        raise NotImplementedError

    def _before_turning(self) -> None:
        """Finish what belongs to the plane that is still in view."""
        raise NotImplementedError

    def _turned(self, *, moved: bool, other: bool) -> None:
        """Go along when the view has `moved`, or shows another image or `other` labels."""
        raise NotImplementedError

    def _came(self, index: Index) -> None:
        """Go on with what waited for a plane."""
        raise NotImplementedError

    def _made_labels(self, labels: Labels) -> None:
        """Choose the layer that was made."""
        raise NotImplementedError

    def _stepped(self) -> None:
        """Show what a step has changed besides the labels."""
        raise NotImplementedError

    def look_again(self, _: Any = None) -> None:
        """See what is in view, and have it looked at if that was not done yet."""
        self._before_turning()
        image = self.image.value
        before = (self.scene.source, self.scene.view)
        source = view = None
        try:
            if image is not None:
                seen = self._in_view(image)
                if self.candidates.value is not None:
                    check_candidates(self.candidates.value, seen[0].grid, seen[0].axes)
                source, view = seen
        except EXPECTED_ERRORS as error:
            self.status.state("none", words.UNSEEN)
            self.status.say(str(error))
            self.watching.watch(self._layers_chosen())  # a change of theirs may be the remedy
        self._see(source, view)
        moved = before[0] is None or before[0].image is not image or before[1] != view
        if source is None or view is None:
            self._turned(moved=moved, other=False)
            self.preview.objects(None)
            return
        self.preview.place(source.image, view.axes, source.grid)
        labels = self.scene.labels
        now = _Turned(ref(source.image), view.axes, labels and ref(labels))
        other, self._turned_to = now.is_other(self._turned_to), now
        self._turned(moved=moved, other=other)
        self.watching.watch(source.layers)
        self.watching.seen(source, view)
        self._show_known()

    def _layers_chosen(self) -> list[Image]:
        """Return the image layers that are to be shown to the network."""
        colours = self.colours.value
        chosen = [self.image.value, colours.red, colours.green, colours.blue]
        return list(dict.fromkeys(layer for layer in chosen if isinstance(layer, NapariImage)))

    def _in_view(self, image: Image) -> tuple[Source, View]:
        """Return what the network is shown, and the plane on the screen."""
        colours, contrast = self.colours.value, self.settings.settings.contrast
        chosen = (colours.red, colours.green, colours.blue)
        options: dict[str, Any] = {"contrast": contrast}
        if colours.channel_axis is not None:
            options["channel_axis"] = colours.channel_axis
            options["channels"] = chosen if colours else None
        elif colours:
            options["colours"] = chosen
        return source_in_view(image, self.viewer.dims, **options)

    def _see(self, source: Source | None, view: View | None) -> None:
        """Turn to a plane."""
        settings = self.settings.settings
        self.scene.looks.cache.max_bytes = settings.cache_mb << 20
        name = self.model.value
        given = self.candidates.value
        here = self.scene.is_given or given is not None
        here = here or not needs_download(name) or name in self._confirmed
        self.scene.compare_with(
            TextSpec(model=settings.text_model, device=settings.device, mode=settings.text_mode)
        )
        # One look: tiles take many times as long, and a person waits; closer looks add detail.
        spec = ModelSpec(
            model=name,
            device=settings.device,
            runtime=settings.runtime,
            image_size=settings.image_size,
            tile="off",
        )
        self.scene.see(
            source,
            view,
            spec if here else None,
            labels=self.output.value,
            given=given,
            closer=settings.closer and given is None,
            download=name
            if given is None and name in self._confirmed and needs_download(name)
            else "",
            ahead=neighbours(view) if view is not None and settings.prefetch else (),
        )
        if not here and source is not None:
            self.status.state("none", words.not_here(name))

    def _show_known(self) -> None:
        """Show what is known of the plane in view, and all that depends on it."""
        candidates, view, looks = self.scene.in_view, self.scene.view, self.scene.looks
        if candidates is None or view is None:
            self.everything_count.setText("")
            self.preview.objects(None)
            return
        ran = self.scene.ran
        kind: State = "ready" if len(candidates) else "none"
        text = words.candidates(len(candidates), ran.where, ran.seconds)
        self.status.state(kind, text, words.how_it_runs(ran.description, ran.seconds))
        self.memory.setText(words.memory(looks.cache.nbytes))
        if len(candidates):
            self.areas.set_span(int(candidates.areas.min()), int(candidates.areas.max()))
        self._sift()
        self.refresh()

    def _looking(self, job: Job | None, index: Index | None, error: Exception | None) -> None:
        """Show that a plane is looked at, or why it could not be."""
        self.status.watch_look(job)
        if error is not None:
            view = self.scene.view
            if view is not None and index == view.index and self.scene.in_view is None:
                self.status.state("error", words.FAILED)
            else:
                self._show_known()
            self._show(error)
        elif job is not None and index is not None:
            self.status.state("working", words.looking(index[-1] if index else None))
        else:
            self._show_known()

    def _pixels_edited(self, image: Image) -> None:
        """Look anew at an image that was changed in place."""
        self.scene.throw_away(image)
        self.look_again()

    def _model_chosen(self, name: str) -> None:
        """Ask before a model is downloaded."""
        if needs_download(name) and not self.scene.is_given and name not in self._confirmed:
            if not confirm_download(name, self.native):
                self.status.say(words.not_downloaded(name))
            else:
                self._confirmed.add(name)
        self.look_again()

    def _sieve(self) -> Sieve:
        """Return what the sliders say."""
        return Sieve(self.confidence.value, self.min_area.value, self.max_area.value or None)

    def _sift(self, _: Any = None) -> None:
        """Find what the sliders leave, and show it."""
        candidates, view, sight = self.scene.in_view, self.scene.view, self.scene.looks.sight
        if candidates is None or view is None or sight is None:
            self.sifting.forget()
            return
        left = self.sifting.sift(candidates, self._sieve(), sight.name, view.index)
        self.everything_count.setText(words.everything_count(len(left), len(candidates)))
        self._show_sifted()

    def _show_sifted(self) -> None:
        """Show what *everything* would take, or what cleanup would leave, if that is wanted."""
        work, view, wanted = self.scene.written(), self.scene.view, self._wanted()
        cleanup = wanted[1]
        if isinstance(wanted[0], Picking):
            now = (wanted[0].left, wanted[0].without)
            if now[0] is None:
                return
            kept = wanted[0].kept
            self.preview.objects(kept.to_labels())
            if cleanup:
                self.tidying.tidy(kept, cleanup, partial(self._show_kept, wanted, now))
            if wanted[0] is self.sifting:
                found = len(self.scene.in_view or ())
                self.everything_count.setText(words.everything_count(len(kept), found))
        elif cleanup and work and view:
            self.tidying.plan(work, cleanup, view.index, partial(self._show_tidied, wanted))
        else:
            self.preview.objects(None)

    def _wanted(self) -> tuple[Picking | None, Cleanup | None]:
        """Return what is to be shown beforehand, None for labels, and the cleanup of it."""
        cleanup = self.cleanup.cleanup if self.cleanup.preview.value else None
        return self._picked_beforehand(), cleanup or None

    def _picked_beforehand(self) -> Picking | None:
        """Return what would be taken, if the tab that is open shows that."""
        all_of_it = self.current_tab == "everything" and self.everything_preview.value
        return self.sifting if all_of_it else None

    def _show_kept(
        self,
        wanted: tuple[Picking | None, Cleanup | None],
        then: tuple[Instances | None, frozenset[int]],
        labels: NDArray[Any],
    ) -> None:
        """Show what would be taken, as cleanup would leave it, if that is still so."""
        picked = wanted[0]
        same = picked is not None and (picked.left, picked.without) == then
        if same and wanted == self._wanted():
            self.preview.objects(labels)

    def _show_tidied(self, wanted: tuple[Picking | None, Cleanup | None], planned: Planned) -> None:
        """Show what cleanup takes off the labels of a plane, and what it adds, if still wanted."""
        view = self.scene.view
        if view is not None and planned.edit.index == view.index and wanted == self._wanted():
            self.preview.objects(tidying.difference(planned, view.axes.plane_shape))

    def _work(self, *, make: bool = False, searching: bool = False) -> Work | None:
        """Return the Labels layer that is worked on, or show why it cannot be."""
        try:
            return self.scene.work_on(make=make, searching=searching)
        except EXPECTED_ERRORS as error:
            self._show(error)
            return None

    def _show(self, error: Exception) -> None:
        """Show an error where it is seen, and keep it in the dock."""
        self.status.say(str(error))
        if isinstance(error, EXPECTED_ERRORS):
            show_error(str(error))
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)


def neighbours(view: View) -> list[Index]:
    """Return the planes beside one, along the last stepped axis, the next one first."""
    if not view.index:
        return []
    *rest, last = view.index
    size = view.axes.shape[view.axes.steps[-1]]
    return [(*rest, n) for n in (last + 1, last - 1) if 0 <= n < size]


@dataclass(frozen=True, slots=True, eq=False)
class _Turned:
    """What was seen last: an image along its axes, and the labels that were worked on."""

    image: ref[Image] | None = None
    axes: PlaneAxes | None = None
    labels: ref[Labels] | None = None

    def is_other(self, before: _Turned) -> bool:
        """Whether this is another image or along other axes, or other labels are worked on."""
        image = None if self.image is None else self.image()
        labels = None if self.labels is None else self.labels()
        return (
            before.image is None
            or before.image() is not image
            or before.axes != self.axes
            or (before.labels is not None and before.labels() is not labels)
        )
