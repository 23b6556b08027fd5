"""The dock widget: what its buttons do.

Candidates of the plane in view are found in the background. Everything after that, hovering,
clicking, sliders, undo, is choosing among them, at once and in the main thread.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication

from napari_fastsam._napari import tidying, words
from napari_fastsam._napari.claims import claim
from napari_fastsam._napari.prompt_layers import points_layer, shapes_layer
from napari_fastsam._napari.runs import Everything
from napari_fastsam._napari.seeing import EXPECTED_ERRORS
from napari_fastsam._napari.status import on_orphaned
from napari_fastsam._napari.wiring import Wired
from napari_fastsam._napari.worker import Job
from napari_fastsam.script import as_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import napari.viewer
    from napari.layers import Layer

    from napari_fastsam._napari.ground import Sight
    from napari_fastsam._napari.layer_boxes import LayerBox
    from napari_fastsam._napari.work import Work
    from napari_fastsam.history import Step
    from napari_fastsam.pipeline import Index
    from napari_fastsam.plans import Planned
    from napari_fastsam.segmenter import Segmenter, TextScorer


class FastSamWidget(Wired):
    """Label the objects of an image: by clicks, by prompts in layers, or all of them.

    Parameters
    ----------
    viewer
        The viewer whose layers are offered.
    model
        A segmenter to use in place of the models that can be chosen.
    scorer
        What compares objects with words, in place of the text models that can be chosen.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        model: Segmenter | None = None,
        scorer: TextScorer | None = None,
    ) -> None:
        # Plugins are handed a proxy, whose layers are not the layers and which takes its time.
        super().__init__(getattr(viewer, "__wrapped__", viewer), model, scorer)
        self._journey: Iterator[None] = iter(())
        for button, action in (
            (self.click_button, self._click_pressed),
            (self.segment_button, self.segment_plane),
            (self.everything_button, self.everything),
            (self.find.find_button, self.find.words.ask),
            (self.find.similar_button, self.find_similar),
            (self.find.back, lambda: self.step(-1)),
            (self.find.forth, lambda: self.step(1)),
            (self.find.take_button, self.finding.take),
            (self.prompts_stack_button, self.segment_stack),
            (self.everything_stack_button, self.everything_stack),
            (self.words_stack_button, self.words_stack),
            (self.cleanup.apply_button, self.tidy),
            (self.add_points, self.new_points),
            (self.add_shapes, self.new_shapes),
            (self.next_object, self.pointing.finish),
            (self.follow_button, self.follow_last),
            (self.undo_button, self.undo),
            (self.redo_button, self.redo),
            (self.stack.tracks_button, self.show_tracks),
            (self.script_button, self.copy_script),
        ):
            button.clicked.connect(action)
        self.status.cancel_button.clicked.connect(self.cancel)
        for worker in (self.scene.looks.worker, self.runs.worker, self.tidying.worker):
            self.native.destroyed.connect(worker.close)
        on_orphaned(self.native, self.leave)
        self.look_again()

    def take_clicks(self) -> None:
        """Take clicks on the image: the prompt layer is made if need be, and becomes active."""
        if self.scene.source is None:
            self.look_again()  # says what is missing
            return
        if self.points.value is None:
            self.new_points()
        points = self.points.value
        if points is not None:
            self.viewer.layers.selection.active = points
            points.mode = "add"
            self.preview.prepare()

    def segment_plane(self) -> None:
        """Take the objects that points and shapes ask for on the plane in view."""
        view = self.scene.view
        if view is None:
            self.look_again()
        elif not any(asked.index == view.index for asked in self.live.ledger.objects.values()):
            self.status.say(words.NOTHING_DRAWN)
        else:
            self.live.ask_all(view.index)
            self.scene.look(view.index)  # again, if that has failed

    def everything(self) -> None:
        """Take every object of the plane in view that the sliders leave."""
        view = self.scene.view
        seen = None if view is None else self.scene.looks.seen(view.index)
        if seen is None or view is None:
            self.look_again()  # says what is missing
            self._as_soon_as_seen(self.everything)
            return
        self._sift()
        kept = self.sifting.kept
        if not len(kept):
            self.status.say(words.NOTHING_LEFT)
            return
        chosen = Everything(kept, view.index, seen, self._sieve(), self.sifting.without)
        self._start(chosen, make=True)

    def segment_stack(self) -> None:
        """Take the objects that points and shapes ask for, on all planes that have some."""
        questions, sight = self.live.by_plane(), self.scene.looks.sight
        if sight is None:
            self.look_again()  # says what is missing
            return
        halted, asking = self._halted, self._what_is_asked("prompts")
        if halted is not None and halted.fits(asking, self.output.value):
            self._begin(halted.run, asking)  # what it has found is asked for no more
            return
        chosen = self._planes_chosen(sight)
        asked = {at: one for at, one in questions.items() if chosen is None or at in chosen}
        if not asked:
            drawn = words.NONE_IN_RANGE if questions else words.ALL_TAKEN
            self.status.say(drawn if self.live.ledger.objects else words.NOTHING_DRAWN)
            return
        request = sight.request({at: one.prompts for at, one in asked.items()}, closer=sight.closer)
        self._start(
            replace(request, cleanup=self.cleanup.cleanup, link=self.linked.value),
            asking=asking,
            questions=asked,
        )

    def everything_stack(self) -> None:
        """Take every object of all planes that the sliders leave."""
        sight, sieve = self.scene.looks.sight, self._sieve()
        if sight is None:
            self.look_again()  # says what is missing
            return
        self._start(
            replace(
                sight.request(None),
                indices=self._planes_chosen(sight),
                confidence=sieve.confidence,
                min_area=sieve.min_area,
                max_area=sieve.max_area,
                cleanup=self.cleanup.cleanup,
                link=self.linked.value,
            ),
            asking=self._what_is_asked("everything"),
        )

    def words_stack(self) -> None:
        """Take every object of all planes that the words of the Find tab describe."""
        sight, asking = self.scene.looks.sight, self._what_is_asked("words")
        if sight is None:
            self.look_again()  # says what is missing
            return
        try:
            prompts = self._asked_in_words(sight)
        except ValueError as error:
            self.status.say(str(error))
            return
        if not prompts:
            self.status.say(words.NO_REGIONS)
            return
        download = self._text_download()
        if download is None:
            return  # why was said
        self.find.words.remember(self.find.words.text.strip())
        self.finding.cancel()
        request = replace(
            sight.request(prompts), cleanup=self.cleanup.cleanup, link=self.linked.value
        )
        self._start(request, asking=asking, download=download)

    def follow_last(self) -> None:
        """Follow the object taken last through the stack."""
        self.follow_object()

    def show_tracks(self) -> None:
        """Show where labelled objects go through the stack, as a Tracks layer."""
        work, view = self._work(), self.scene.view
        if view is None:
            self.look_again()  # says what is missing
            return
        if work is None:
            self.status.say(words.tracks(0))
            return
        try:
            self.trails.show(work, view.index)
        except EXPECTED_ERRORS as error:
            self.status.say(str(error))

    def tidy(self) -> None:
        """Tidy the labels of the plane in view."""
        work, view = self._work(), self.scene.view
        if work is None or view is None:
            self.status.say(words.NO_LABELS)
            return
        cleanup = self.cleanup.cleanup

        def written(planned: Planned) -> None:
            changed, gone = tidying.write(work, planned, cleanup)
            self._stepped()
            self.status.say(words.tidied(changed, gone))

        self.applying.plan(work, cleanup, view.index, written)

    def cancel(self) -> None:
        """Stop, and drop the plane that is being worked on; what is written stays."""
        self.finding.cancel()
        self.runs.worker.cancel()

    def undo(self) -> None:
        """Take the last step back, with the prompts that led to it."""
        self._travel(back=True)

    def redo(self) -> None:
        """Do again what was taken back."""
        self._travel(back=False)

    def copy_script(self) -> None:
        """Put a Python script of what was done on the clipboard."""
        work = self._work()
        if work is None or not work.record:
            self.status.say(words.NOTHING_DONE)
            return
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(as_script(work.record))
        self.status.say(words.SCRIPT_COPIED)

    def new_points(self) -> None:
        """Make a Points layer on the image, ready for clicks, and choose it."""
        self._add_prompt_layer(points_layer, self.points, "add")

    def new_shapes(self) -> None:
        """Make a Shapes layer on the image, ready for boxes, and choose it."""
        self._add_prompt_layer(shapes_layer, self.shapes, "add_rectangle")

    def _planes_chosen(self, sight: Sight) -> tuple[Index, ...] | None:
        """Return the planes that a run goes through, None for all."""
        axes = sight.source.axes
        chosen = iter(self.ranges.positions)
        sizes = [axes.shape[n] for n in axes.steps]
        along = [next(chosen, range(size)) if size > 1 else range(size) for size in sizes]
        whole = all(positions == range(size) for positions, size in zip(along, sizes, strict=True))
        return None if whole else tuple(product(*along))

    def _travel(self, *, back: bool) -> None:
        """Go a step back or forth; bit by bit, if it has many planes."""
        for _ in self._journey:
            pass  # one thing at a time
        self.prompting.draw()
        self.runs.worker.cancel()
        self.runs.worker.finish_receiving()
        work = self._work()
        if work is None and self.image.value is not None:
            work = self.scene.work_known
        history = None if work is None else work.history
        step = None if history is None else history.last if back else history.next
        if work is None or step is None:
            self.status.say(words.NOTHING_TO_UNDO if back else words.NOTHING_TO_REDO)
            return
        job = Job(
            lambda _: iter((None,)),
            lambda _: journey,
            lambda _, error: self._travelled(error),
            doing="Taking back" if back else "Doing again",
        )
        journey = self._journey = self._travelling(work, step, job, back=back)
        if len(step.edits) > 1:
            self.travels.submit(job)
            self.status.watch(job)
            return
        for _ in journey:
            pass

    def _travelling(self, work: Work, step: Step, job: Job, *, back: bool) -> Iterator[None]:
        """Go a step back or forth, and show that."""
        labelling, history = work.labelling, work.history
        if step is not (history.last if back else history.next):
            return  # something was done since this was asked for
        bits = labelling.undoing() if back else labelling.redoing()
        for done, _ in enumerate(bits, 1):
            job.progress = (done, len(step.edits))
            yield
        self.prompting.redraw(self.live.undo(step, back=back))
        self._stepped()
        self.status.say(words.undone(step.record) if back else words.redone(step.record))

    def _travelled(self, error: Exception | None) -> None:
        """Show that nothing runs any more."""
        said = self.status.message.text()
        self.status.rest()
        self.status.say(said)
        if error is not None:
            self._show(error)

    def _add_prompt_layer(self, make: Callable[..., Layer], box: LayerBox, mode: str) -> None:
        source, view = self.scene.source, self.scene.view
        if source is None or view is None:
            self.look_again()  # says what is missing
            return
        layer = make(source.image, view.axes.plane_shape, source.grid)
        claim(layer, self)
        self.viewer.add_layer(layer)
        layer.mode = mode  # adding resets it
        box.value = layer

    def _click_pressed(self) -> None:
        """Take clicks, or leave the mouse to napari again."""
        points = self.points.value
        if self.click_button.value:
            self.take_clicks()
        elif points is not None:
            points.mode = "pan_zoom"
        self._active_changed()
