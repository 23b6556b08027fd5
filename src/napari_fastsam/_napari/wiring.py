"""How the parts of the dock widget are put together: what in the viewer calls for what."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Points
from qtpy.QtCore import QEvent, QObject, QTimer

from napari_fastsam._napari import words
from napari_fastsam._napari.asked import Asked, joined
from napari_fastsam._napari.claims import claim
from napari_fastsam._napari.finding import Finding, Surroundings
from napari_fastsam._napari.following import Following, stretches
from napari_fastsam._napari.framing import bring_into_view
from napari_fastsam._napari.live import Answered, Live
from napari_fastsam._napari.models import confirm_download, needs_download
from napari_fastsam._napari.pointing import Pointing
from napari_fastsam._napari.prompting import AFTER_PAINT, Prompting
from napari_fastsam._napari.resuming import Asking, Halted, Kind
from napari_fastsam._napari.runs import Everything, Found, Run, Runs
from napari_fastsam._napari.scene import tell_source
from napari_fastsam._napari.seeing import EXPECTED_ERRORS, Seeing
from napari_fastsam._napari.tab_key import TabKey
from napari_fastsam._napari.trails import Trails
from napari_fastsam._napari.watching import CALM
from napari_fastsam._napari.worker import Worker
from napari_fastsam.pipeline import Request
from napari_fastsam.prompts import Prompts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import napari.viewer
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_fastsam._napari.asked import PointRow
    from napari_fastsam._napari.ground import Sight
    from napari_fastsam._napari.live import Questions
    from napari_fastsam._napari.sifting import Picking
    from napari_fastsam._napari.work import Work
    from napari_fastsam._napari.worker import Ending, Job
    from napari_fastsam.cleanup import Cleanup
    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index
    from napari_fastsam.placing import Existing
    from napari_fastsam.segmenter import Segmenter, TextScorer


class Wired(Seeing):
    """The dock widget without its actions."""

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        model: Segmenter | None,
        scorer: TextScorer | None = None,
    ) -> None:
        super().__init__(viewer, model, scorer)
        self.live = Live(
            self.scene,
            self._how_to_take,
            self._answered,
            goes_on=lambda index: self.following.goes_on(index),
        )
        self.pointing = Pointing(
            self.scene,
            self.live,
            self.preview,
            self,
            grouping=lambda: self.grouping.value,
            cleanup=lambda: self.cleanup.cleanup,
        )
        self.prompting = Prompting(
            self.scene, self.live, self.pointing, failed=self._show, narrowing=self._narrows
        )
        self.runs = Runs(
            self.scene.looks.cache, gone=self._is_gone, found=self._found, ended=self._ended
        )
        self.following = Following(
            self.scene,
            self.runs.worker,
            settings=self._how_to_take,
            owner=lambda label, index: self.live.ledger.owner(label, index),
            begun=self._watch,
            changed=self._stepped,
            ended=self._followed,
        )
        self.finding = Finding(self.scene, self.find, self._surroundings())
        self.trails = Trails(viewer, self.runs.worker, begun=self._watch, ended=self._tracks_shown)
        self._last_label = 0
        self.click.followed.linkActivated.connect(lambda plane: self.go_to(int(plane)))
        self.find.words.asked.connect(self._search)
        self.find.examples.linkActivated.connect(lambda _: self.finding.drop_examples())
        self.travels = Worker()  # undoes and redoes long steps, bit by bit
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(AFTER_PAINT)
        self._soon.timeout.connect(self.pointing.show)
        self._welcome = QTimer()
        self._welcome.setSingleShot(True)
        self._welcome.setInterval(0)
        self._welcome.timeout.connect(self._greet)
        self._at_rest = QTimer(self.native)  # which it does not outlive
        self._at_rest.setSingleShot(True)
        self._at_rest.setInterval(CALM)
        self._at_rest.timeout.connect(self._labels_chosen)
        self._halted: Halted | None = None  # the last run, if it ended early
        self._last_run: Run | None = None  # over a stack
        self._when_seen: Callable[[], None] | None = None
        self._follow_controls()
        self._tab = TabKey(self.native, self._turn)
        self._window = _Shown(self.native, self._shown)

    @property
    def busy(self) -> bool:
        """Whether anything runs beside the main thread."""
        parts = (self.scene.looks, self.runs, self.tidying, self.applying)
        waits = self.travels.busy or self.scene.counting
        return waits or any(part.worker.busy for part in parts)

    def _surroundings(self) -> Surroundings:
        """Return what a search needs of the dock."""
        return Surroundings(
            region=self._region,
            settings=self._how_to_take,
            work=lambda: self._work(make=True, searching=True),
            download=self._text_download,
            free=lambda: not self.runs.worker.busy,
            say=self.status.say,
            watch=self.status.watch,
            rest=self.status.rest,
            show=self._show_sifted,
            stepped=self._stepped,
            frame=self._frame,
        )

    def take_clicks(self) -> None:
        """Take clicks on the image."""
        raise NotImplementedError

    def new_shapes(self) -> None:
        """Make a Shapes layer."""
        raise NotImplementedError

    def leave(self) -> None:
        """Let go of the viewer: the dock is closed."""
        for timer in (self._soon, self._welcome, self._at_rest):
            timer.stop()
        self.unfollow()
        self.scene.close()
        self.runs.worker.close()
        self.tidying.worker.close()
        self.applying.worker.close()
        self.travels.close()
        self.watching.close()
        self.preferences.close()
        self.prompting.release()
        self.preview.remove()

    def _before_turning(self) -> None:
        """Draw the points that were clicked on the plane that is still in view."""
        self.prompting.draw()

    def _turned(self, *, moved: bool, other: bool) -> None:
        """Point anew when the view has moved; leave prompts alone that spoke of something else."""
        if moved:
            self._when_seen = None
            self.pointing.leave()
        if other:
            self.prompting.adopt()
        self._answer_search()

    def _came(self, index: Index) -> None:
        """Go on with what waited for a plane."""
        try:
            self.live.arrived(index)
        except EXPECTED_ERRORS as error:
            self._show(error)
        self.memory.setText(words.memory(self.scene.looks.cache.nbytes))
        if self.scene.view is not None and index == self.scene.view.index:
            self._show_known()
            self._answer_search()
            self.pointing.show()
            then, self._when_seen = self._when_seen, None
            if then is not None:
                then()

    def _as_soon_as_seen(self, then: Callable[[], None]) -> None:
        """Call a function when the plane in view was looked at, if it still is in view."""
        view = self.scene.view
        if view is not None:
            self._when_seen = then
            self.scene.look(view.index)

    def _looking(self, job: Job | None, index: Index | None, error: Exception | None) -> None:
        """Show that a plane is looked at, or why it could not be."""
        if error is not None:
            self._when_seen = None
        super()._looking(job, index, error)

    def _made_labels(self, labels: Labels) -> None:
        """Choose the layer that was made."""
        self.reset_choices()
        with self.output.changed.blocked():
            self.output.value = labels
        self.candidates.reset_choices()
        self.refresh()
        self._follow_labels(labels)

    def _how_to_take(self) -> tuple[Existing, Cleanup]:
        """Return what becomes of existing labels, and how objects are tidied."""
        existing = self.settings.settings.existing
        return ("keep" if existing == "clear" else existing), self.cleanup.cleanup

    def _answered(self, answered: Answered) -> None:
        """Say what came of a change of prompts."""
        self._stepped()
        if text := words.answered(answered):
            self.status.say(text)
        if answered.label is not None and answered.index is not None:
            self._last_label = answered.label
            if self.following.goes_on(answered.index) == answered.label:
                self.following.corrected(answered.index)

    def _stepped(self) -> None:
        """Show what a step has changed besides the labels, and write down what was done."""
        work = self.scene.written() or self.scene.work_known
        if work is not None:
            work.note()
        self._show_work(work)
        self._show_halted()
        self._show_followed()
        self.show_soon()
        if self.current_tab == "find":
            self.finding.labelled()
        elif self.cleanup.preview.value:
            self._show_sifted()

    def _show_work(self, work: Work | None) -> None:
        """Show what can be undone, and which label comes next."""
        history = None if work is None else work.history
        self.undo_button.enabled = history is not None and len(history) > 0
        self.redo_button.enabled = history is not None and history.next is not None
        number = None if work is None else work.next_label
        self.next_label.setText("" if number is None else words.next_label(number))

    # What pointing changes besides labels: see `pointing.Hands`.

    def add_point(self, row: PointRow, choice: int = 0) -> None:
        """Take what a new point asks for, passing over `choice` answers, and draw it."""
        self.prompting.add_point(row, choice)

    def add_box(self, box: tuple[float, float, float, float]) -> None:
        """Draw a box, which takes its object."""
        if self.shapes.value is None:
            active = self.viewer.layers.selection.active
            self.new_shapes()
            self.viewer.layers.selection.active = active
        self.prompting.add_box(box)

    def give_back(self, label: int) -> None:
        """Take an object off the labels, with its prompts."""
        view = self.scene.view
        if self.prompting.give_back(label):
            if view is not None:
                self.following.given_back(label, view.index)
            self._stepped()
            self.status.say(words.given_back(label))

    def toggle(self, place: tuple[float, float]) -> bool:
        """Leave a previewed object out, or have it back; False while nothing is previewed."""
        if self.current_tab == "find":
            return self.finding.toggle(place)
        if self.current_tab != "everything" or not self.everything_preview.value:
            return False
        if self.sifting.toggle(place):
            self._show_sifted()
        return True

    def found_at(self, place: tuple[float, float]) -> tuple[Instances, str] | None:
        """Return what a search has found at a place, while its tab is open."""
        return self.finding.found_at(place) if self.current_tab == "find" else None

    def told(self, candidate: int) -> str:
        """Say how well a candidate answers a search, while its tab is open."""
        return self.finding.told(candidate) if self.current_tab == "find" else ""

    def find_similar(self, example: Instances | None = None) -> None:
        """Find what looks like an object; ``None`` is the one taken last."""
        if self.scene.view is None:
            self.look_again()  # says what is missing
            return
        example = example or self.scene.labelled(self._last_label)
        if example is None:
            self.status.say(words.NO_EXAMPLE)
            return
        self.current_tab = "find"
        self.finding.find_similar(example)
        self.show_soon()

    def step(self, steps: int) -> bool:
        """Go to the next of what was found, while its tab is open; False if there is nothing."""
        found = self.finding.step(steps) if self.current_tab == "find" else None
        if found is None:
            return False
        one, text = found
        self.preview.outline(
            one.mask(0), one.bboxes[0].tolist(), score=float(one.scores[0]), text=text
        )
        return True

    def _asked_in_words(self, sight: Sight) -> dict[Index, Prompts]:
        """Return what the Find tab asks for on the planes chosen; of shapes, on those with some.

        Raises
        ------
        ValueError
            If there are no words.
        """
        page, planes = self.find, self._planes_chosen(sight) or sight.planes
        terms: dict[str, Any] = {"text": page.words.text, "threshold": page.threshold.value}
        terms["top_k"] = page.top_k.value or None
        if not page.inside.value:
            return dict.fromkeys(planes, Prompts(**terms))
        regions = {at: self._region(at) for at in planes}
        return {
            at: Prompts(**terms, boxes=region.boxes, masks=region.masks)
            for at, region in regions.items()
            if region is not None
        }

    def _planes_chosen(self, sight: Sight) -> tuple[Index, ...] | None:
        """Return the planes that a run goes through, None for all."""
        raise NotImplementedError

    def _picked_beforehand(self) -> Picking | None:
        """Return what would be taken, if the tab that is open shows that."""
        if self.current_tab == "find" and self.finding.searching.left is not None:
            return self.finding.searching
        return super()._picked_beforehand()

    def _text_download(self) -> str | None:
        """Return the text model to fetch before words are used, None if that is not wanted."""
        name = self.scene.scorer.spec.model
        if self.scene.is_scorer_given or not needs_download(name):
            return ""
        if name not in self._confirmed and not confirm_download(name, self.native):
            self.status.say(words.not_downloaded(name))
            return None
        self._confirmed.add(name)
        return str(name)

    def _frame(self, bbox: NDArray[np.int32]) -> None:
        """Move the camera to a box of the plane in view."""
        source, view = self.scene.source, self.scene.view
        if source is not None and view is not None:
            bring_into_view(self.viewer, source.grid, view, bbox.tolist())

    def _region(self, index: Index) -> Prompts | None:
        """Return the boxes and outlines of the Shapes layer on a plane, None if there are none."""
        drawing = self.prompting.drawing()
        drawn = [
            Asked(index, row)
            for row in (() if drawing is None else drawing.shapes)
            if row.plane == index and row.prompts is not None and not row.prompts.scribbles
        ]
        return joined(drawn, np.empty((0, 2)))[0] if drawn else None

    def say(self, text: str) -> None:
        """Say what happened."""
        self.status.say(text)

    def show_soon(self) -> None:
        """Show what is under the mouse once the labels have been repainted."""
        self._soon.start()

    # Following an object through the stack.

    def follow_object(self, label: int = 0) -> None:
        """Follow an object in view through the stack; 0 is the one taken last."""
        view, work = self.scene.view, self._work()
        if view is None:
            self.look_again()  # says what is missing
            return
        here = work is not None and work.labelling.object_on(self._last_label, view.index)
        label = label or (self._last_label if here else 0)
        if not label:
            self.status.say(words.NOTHING_TO_FOLLOW)
            return
        self.prompting.draw()  # what was clicked belongs to the step before
        try:
            self.following.start(label)
        except EXPECTED_ERRORS as error:
            self.status.say(str(error))

    def let_go(self) -> None:
        """Go on no more with an object that was followed."""
        self.following.finish()
        self._show_followed()

    def go_to(self, plane: int) -> None:
        """Show a plane along the axis that an object was followed along."""
        track, source = self.following.shown, self.scene.source
        if track is None or source is None:
            return
        position = np.zeros(source.grid.ndim)
        position[list(source.axes.steps)] = track.at(plane)
        world = source.grid.data_to_world(position)
        offset = self.viewer.dims.ndim - source.grid.ndim
        for axis in source.axes.steps:
            self.viewer.dims.set_point(axis + offset, float(world[axis]))

    def _followed(self, ending: Ending, error: Exception | None) -> None:
        """Say where an object was followed to."""
        if self.runs.worker.busy:
            return
        self._rest()
        if error is not None:
            self._show(error)
        elif (track := self.following.shown) is not None:
            found, taken = stretches(track.found), stretches(track.taken - track.found)
            text = words.followed(track.label, found, sorted(track.lost), taken)
            self.status.say(f"Cancelled. {text}" if ending == "cancelled" else text)
        self._show_followed()

    def _show_followed(self) -> None:
        """Show where an object was lost, as long as that is so."""
        track = self.following.shown
        self.click.tell_followed(
            words.lost(track.label, sorted(track.lost)) if track and track.lost else ""
        )

    def _tracks_shown(self, shown: int, ending: Ending, error: Exception | None) -> None:
        """Say how many tracks there are."""
        if self.runs.worker.busy:
            return
        self._rest()
        if error is not None:
            self._show(error)
        else:
            self.status.say(words.tracks(shown, cancelled=ending == "cancelled"))

    # Runs over many planes.

    def _start(
        self,
        asked: Request | Everything,
        *,
        make: bool = False,
        asking: Asking | None = None,
        questions: Mapping[Index, Questions] | None = None,
        download: str = "",
    ) -> None:
        """Begin a run, or go on with the last one if it ended early and would do the same."""
        sight = self.scene.looks.sight
        if sight is None:
            return
        halted = self._halted
        if halted is not None and halted.fits(asking, self.output.value):
            self._begin(halted.run, asking)
            return
        settings = self.settings.settings
        searching = isinstance(asked, Request) and asked.searching
        run = Run(
            asked=asked,
            model=sight.model,
            cleanup=self.cleanup.cleanup,
            existing=settings.existing,
            axes=sight.source.axes,
            layers=sight.source.layers,
            make=lambda: self.scene.work_on(make=True),
            questions=questions or {},
            scorer=self.scene.scorer,
            download=download,
            # When the first plane is written: then the worker has read what is hashed for that.
            tell_source=partial(
                tell_source, sight=sight, scorer=self.scene.scorer.spec if searching else None
            ),
        )
        work = self._work(make=make)
        if work is None and (make or self.scene.labels is not None):
            return  # why was shown
        run.write_to(work)
        self._begin(run, asking)

    def _begin(self, run: Run, asking: Asking | None) -> None:
        """Have the planes of a run done that are not done yet."""
        run.asking = asking
        if asking is not None:  # else a plane alone, which leaves what was stopped as it is
            self._halted, self._last_run = None, run
        self._watch(self.runs.start(run))
        self._show_halted()

    def _watch(self, job: Job) -> None:
        """Show how a job over many planes goes, and look at nothing ahead meanwhile."""
        self.scene.looks.paused = True
        self.status.watch(job)

    def _rest(self) -> None:
        """Show that no job goes on, and what is in view."""
        self.scene.looks.paused = False
        self.status.rest()
        self.look_again()  # first: what it says is not what came of the job

    def _what_is_asked(self, kind: Kind) -> Asking | None:
        """Return what a run over the stack would depend on, were it begun now."""
        sight = self.scene.looks.sight
        if sight is None:
            return None
        depends: list[Any] = [
            sight.name,
            sight.source.axes.axes,
            self.ranges.positions,
            self.cleanup.cleanup,
            self.linked.value,
            self.settings.settings.existing,
        ]
        if kind == "everything":
            depends.append(self._sieve())
        elif kind == "words":
            page = self.find
            depends += [page.words.text.strip(), page.threshold.value, page.top_k.value]
            drawing = self.prompting.drawing() if page.inside.value else None
            shapes = None if drawing is None else tuple(row[:3] for row in drawing.shapes)
            depends += [self.scene.scorer.spec, page.inside.value, shapes]
        else:
            drawing = self.live.ledger.drawing
            depends += [sight.closer, drawing.points, tuple(row[:3] for row in drawing.shapes)]
        return Asking(kind, tuple(depends))

    def _show_halted(self, _: Any = None) -> None:
        """Offer to go on with a run that ended early."""
        halted = self._halted
        if halted is None:
            self.stack.offer_resume(words.Stopped())
            return
        asked = self._what_is_asked(halted.asking.kind)
        self.stack.offer_resume(halted.told(asked, self.output.value))

    def _is_gone(self, asked: Run) -> bool:
        """Whether a layer of a run has left the viewer."""
        layers = list(self.viewer.layers)
        labels = None if asked.work is None else asked.work.labels
        return any(layer not in layers for layer in asked.layers) or labels not in (None, *layers)

    def _found(self, asked: Run, found: Found) -> None:
        """Take note of a plane that is done."""
        step = None if asked.work is None else asked.work.history.last
        if found.index in asked.questions and found.planned is not None and step is not None:
            given = (found.planned.numbers.get(number) for number in found.numbers)
            self.live.tie(asked.questions[found.index], list(given), step)
        self._stepped()

    def _ended(self, asked: Run, ending: Ending, error: Exception | None) -> None:
        """Say how a run ended, unless a newer one is on its way."""
        if asked.left and ending != "done" and asked.asking is not None:
            self._halted = Halted(asked, asked.asking) if asked is self._last_run else self._halted
        lineage = asked.lineage
        step = None if asked.is_replaced else asked.step
        if asked.work is not None and step is not None and lineage is not None:
            last = asked.work.history.last
            goes_on = last is not None and last.root is step
            asked.work.linked(lineage, last if goes_on else step)
            asked.tally.joined(lineage)
        if asked.work is not None and not asked.is_replaced and asked.told:
            last = asked.work.history.last
            goes_on = step is None or (last is not None and last.root is step)
            asked.work.found(asked.told, last if goes_on else step)
        if self.runs.worker.busy:
            self._show_halted()
            return
        self._rest()
        self._show_halted()
        if error is not None:
            self._show(error)
        elif self._is_gone(asked):
            self.status.say(words.LAYER_GONE)
        else:
            halted = self._halted is not None and self._halted.run is asked
            left = asked.left if halted else 0
            self.status.say(asked.tally.sentence(cancelled=ending == "cancelled", left=left))

    # Controls and layers.

    def _follow_controls(self) -> None:
        """Look again where a control says something else about what is seen or taken."""
        settings = self.settings
        watched: tuple[Any, ...] = (
            self.image,
            self.output,
            self.candidates,
            self.colours,
            settings.contrast,
            settings.device,
            settings.runtime,
            settings.image_size,
            settings.cache_mb,
            settings.prefetch,
            settings.closer,
            settings.text_model,
            settings.text_mode,
        )
        for control in watched:
            control.changed.connect(self.look_again)
        self.output.changed.connect(self._labels_chosen)
        self.model.changed.connect(self._model_chosen)
        for control in (self.points, self.shapes):
            control.changed.connect(self._prompts_chosen)
        for slider in (self.confidence, self.min_area, self.max_area):
            slider.changed.connect(self._sift)
            slider.changed.connect(self._show_halted)
        for control in (self.ranges, self.linked, self.cleanup, self.settings.existing):
            control.changed.connect(self._show_halted)
        page = self.find
        for control in (page.threshold, page.likeness, page.top_k, page.inside, settings.existing):
            control.changed.connect(lambda _: self.finding.changed())
        self.tabs.changed.connect(self._answer_search)
        previewed: tuple[Any, ...] = (self.tabs, self.everything_preview, self.cleanup)
        for control in (*previewed, self.cleanup.preview):
            control.changed.connect(self._show_sifted)
        self.follow(self.viewer.layers.selection.events.active, self._active_changed)
        self.follow(self.viewer.layers.events.removed, self._removed)
        self.follow(self.viewer.layers.events.inserted, self._inserted)
        self._prompts_chosen()

    def _labels_chosen(self, _: Any = None) -> None:
        """Show what was done to other labels."""
        if self.output.value is not None:
            self._follow_labels(self.output.value)
        self._show_work(self._work())
        self._show_halted()

    def _follow_labels(self, labels: Labels) -> None:
        """Notice when labels are moved off the image, or back."""
        for name in ("scale", "translate", "rotate", "shear", "affine", "units"):
            self.follow(getattr(labels.events, name), self._labels_moved)

    def _labels_moved(self, event: Any) -> None:
        """Check labels that were moved before the next step; tell once they are at rest."""
        if event.source is self.output.value:
            self.scene.check_again()
            self._at_rest.start()

    def _prompts_chosen(self, _: Any = None) -> None:
        """Use other prompt layers."""
        self.prompting.use(self.points.value, self.shapes.value)
        for layer in (self.points.value, self.shapes.value):
            if layer is not None:
                self.follow(layer.events.mode, self._active_changed)
        if self.shapes.value is not None:
            self.follow(self.shapes.value.events.data, self._shapes_changed)
        self._active_changed()

    def _answer_search(self, _: Any = None) -> None:
        """Show what answers the question on the plane in view, while its tab is open."""
        if self.current_tab == "find":
            self.finding.labelled()

    def _search(self, text: str) -> None:
        """Find what words describe."""
        if self.scene.view is None:
            self.look_again()  # says what is missing
        else:
            self.finding.ask(text)

    def _narrows(self) -> bool:
        """Whether shapes say where a search looks."""
        return self.current_tab == "find" and self.find.inside.value

    def _shapes_changed(self, _: Any) -> None:
        """Search in other regions."""
        if self._narrows():
            self.finding.changed()

    def _active_changed(self, _: Any = None) -> None:
        """Show whether the image takes clicks."""
        tool, active = self.prompting.tool, self.viewer.layers.selection.active
        on = tool is not None and tool.on and active is tool.layer
        with self.click_button.changed.blocked():
            self.click_button.value = on
        if not on:
            self.pointing.leave()
        self.refresh()

    def _inserted(self, event: Any) -> None:
        """Turn to a Points layer of the user's own while nothing was clicked; welcome an image."""
        mine, layer = self.points.value, event.value
        unused = mine is not None and mine is not layer and not len(mine.data)
        if type(layer) is Points and unused and claim(layer, self):
            self.points.value = layer
        if type(layer) is Image and self.native.isVisible():
            self._welcome.start()  # when napari is done with it

    def _removed(self, event: Any) -> None:
        """Let go of a layer that left."""
        self.scene.drop(event.value)

    def _shown(self) -> None:
        """Take part in the window that the dock is seen in."""
        self._tab.listen(self.native.window())
        self._greet()

    def _turn(self, steps: int) -> bool:
        """Go to another answer under the mouse; False while the image takes no clicks."""
        if self.click_button.value:
            self.pointing.turn(steps)
        return bool(self.click_button.value)

    def _greet(self) -> None:
        """Be ready for clicks as soon as the dock is seen beside an image."""
        if self.scene.source is not None and self.points.value is None:
            self.take_clicks()


class _Shown(QObject):
    """Calls back each time a widget is shown."""

    def __init__(self, widget: Any, callback: Callable[[], None]) -> None:
        super().__init__(widget)
        self._callback = callback
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """See whether the widget appears; let every event through."""
        if event is not None and event.type() == QEvent.Type.Show:
            self._callback()
        return False
