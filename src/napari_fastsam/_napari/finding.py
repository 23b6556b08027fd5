"""Finding objects by words or examples: what the tab says, asked of the plane in view, and taken.

The network looks at the objects of a plane once, beside the main thread. All further questions, and
the sliders, are answered at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._napari import words
from napari_fastsam._napari.finds import Told
from napari_fastsam._napari.scorers import DOWNLOADING, Search
from napari_fastsam._napari.searching import Searching, Terms, is_known, labelled
from napari_fastsam.selection import looked_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_fastsam._napari.find_page import FindPage
    from napari_fastsam._napari.scene import Scene
    from napari_fastsam._napari.work import Work
    from napari_fastsam._napari.worker import Ending, Job
    from napari_fastsam.cleanup import Cleanup
    from napari_fastsam.instances import Instances
    from napari_fastsam.pipeline import Index
    from napari_fastsam.placing import Existing
    from napari_fastsam.prompts import Prompts

_DECIMALS = 6  # of a slider's value, so that 0.3 is not asked for as 0.30000000000000004


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Surroundings:
    """What a search needs of the dock.

    Parameters
    ----------
    region
        Returns the boxes and outlines that are drawn on a plane, None for none.
    settings
        Returns what becomes of existing labels, and how objects are tidied.
    work
        Returns the labels to write to, which are made if there are none; None where that fails,
        which was shown then.
    download
        Returns the text model to fetch first, if any; None if the person does not want to.
    free
        Whether nothing runs over many planes.
    say, watch, rest
        Shows a text, how a job goes, and that it goes no more.
    show
        Shows what answers, beforehand.
    stepped
        Called after something was taken.
    frame
        Moves the camera to a box.
    """

    region: Callable[[Index], Prompts | None]
    settings: Callable[[], tuple[Existing, Cleanup]]
    work: Callable[[], Work | None]
    download: Callable[[], str | None]
    free: Callable[[], bool]
    say: Callable[[str], None]
    watch: Callable[[Job], None]
    rest: Callable[[Job], None]
    show: Callable[[], None]
    stepped: Callable[[], None]
    frame: Callable[[NDArray[np.int32]], None]


class Finding:
    """Keeps the tab, the question and what answers it in step.

    Parameters
    ----------
    scene
        What is looked at.
    page
        The tab.
    around
        The rest of the dock.
    """

    def __init__(self, scene: Scene, page: FindPage, around: Surroundings) -> None:
        self.searching = Searching()
        self._scene, self._page, self._around = scene, page, around
        self._wanted_on: object = None  # the plane on which somebody waits for an answer
        self._looked = False  # whether its objects were looked at for that
        self._taken: tuple[object, NDArray[np.bool_]] | None = None  # of which candidates
        self._tell = False
        scene.looks.searched = self._searched

    def ask(self, text: str) -> None:
        """Find what words describe on the plane in view."""
        try:
            self.searching.ask(text)
        except ValueError as error:
            self._around.say(str(error))
            return
        self._page.words.remember(text.strip())
        self._begin()

    def find_similar(self, example: Instances) -> None:
        """Find what looks like an object; one that is an example already is none any more."""
        self.refresh()  # turns to the plane in view
        self.searching.ask(None)
        self.searching.toggle_example(example)
        self._begin()

    def drop_examples(self) -> None:
        """Compare with nothing any more."""
        self.searching.examples.clear()
        self.refresh()

    def cancel(self) -> None:
        """Wait for no answer any more."""
        if self._scene.looks.searching:
            self._wanted_on = None
            self._scene.looks.search(None)
            self._around.say(words.STOPPED)

    def changed(self) -> None:
        """Answer on other terms."""
        self._looked = False
        self.refresh()

    def labelled(self) -> None:
        """Answer beside other labels."""
        self._taken = None
        self.refresh()

    def refresh(self) -> None:
        """Answer the question on the plane in view, or have its objects looked at for that."""
        searching, looks, view = self.searching, self._scene.looks, self._scene.view
        if looks.sight is None or view is None:
            searching.forget()
        else:
            searching.turn_to(looks.sight.name, view.index)
            seen, terms = looks.seen(view.index), self._terms(view.index)
            prompts = searching.prompts(terms)
            if seen is None or prompts is None or self._nowhere(terms):
                searching.forget()
            elif is_known(seen, prompts, self._scene.scorer):
                searching.answer(seen, prompts, terms, self._are_taken(seen.candidates))
                self._tell_found()
            else:
                searching.forget()
                self._look(seen.candidates, prompts)
        self._show()

    def _nowhere(self, terms: Terms) -> bool:
        """Whether shapes are to say where to look, and there are none."""
        return bool(self._page.inside.value) and terms.region is None

    @property
    def shown(self) -> Instances | None:
        """What would be taken; None while there is no answer."""
        return None if self.searching.left is None else self.searching.kept

    def toggle(self, place: tuple[float, float]) -> bool:
        """Leave an object out, or have it back; False if none answers there."""
        if not self.searching.toggle(place):
            return False
        self._show()
        return True

    def found_at(self, place: tuple[float, float]) -> tuple[Instances, str] | None:
        """Return what answers at a place, and how well."""
        candidate = self.searching.found_at(place)
        return None if candidate is None else (self._object(candidate), self.told(candidate))

    def told(self, candidate: int) -> str:
        """Say how well a candidate answers; nothing where nobody knows."""
        answers = self.searching.answers
        if answers is None or not 0 <= candidate < len(answers.likeness):
            return ""
        known = answers.told(candidate)
        return "" if known is None else words.likely(*known)

    def step(self, steps: int) -> tuple[Instances, str] | None:
        """Go to the next object, best first; return it and how well it answers."""
        candidate = self.searching.step(steps)
        if candidate is None:
            return None
        found = self._object(candidate)
        self._around.frame(found.bboxes[0])
        self._show_place()
        return found, self.told(candidate)

    def take(self) -> None:
        """Take what is shown, as one step."""
        answers, view = self.searching.answers, self._scene.view
        if answers is None or view is None or not len(self.searching.kept):
            self._around.say(self._nothing())
            return
        work = self._around.work()
        if work is None:
            return  # why was shown
        left_out = self.searching.left_out
        existing, cleanup = self._around.settings()
        try:
            outcomes = work.labelling.take(
                answers.prompts,
                plane=view.index,
                without=left_out,
                existing=existing,
                cleanup=cleanup,
            )
        except ValueError as error:  # no numbers are left, or the plane is not known any more
            self._around.say(str(error))
            return
        told = {}
        taken = np.delete(answers.selection.answers, left_out)
        for outcome, candidate in zip(outcomes, taken, strict=True):
            known = answers.told(int(candidate))
            if outcome.state == "new" and outcome.label is not None and known is not None:
                score = float(answers.selection.candidates.scores[candidate])
                told[outcome.label] = Told(score, *known)
        work.found(told)
        self._around.stepped()
        new = sum(outcome.state == "new" for outcome in outcomes)
        self._around.say(words.found_taken(new, len(outcomes) - new))

    def _begin(self) -> None:
        """Have a new question answered."""
        self._wanted_on, self._looked, self._tell = self._here(), False, True
        view = self._scene.view
        if view is not None and self._scene.in_view is None:
            self._scene.look(view.index)  # again, if that has failed
        self.refresh()

    def _here(self) -> object:
        sight, view = self._scene.looks.sight, self._scene.view
        return None if sight is None or view is None else (sight.name, view.index)

    def _look(self, candidates: Instances, prompts: Prompts) -> None:
        """Have the objects of the plane looked at, if somebody waits for that."""
        looks = self._scene.looks
        if not looked_for(candidates, prompts).any():
            self._wanted_on = None
            self._around.say(words.NO_CANDIDATES)
            return
        if self._wanted_on != self._here() or (self._looked and not looks.searching):
            self._wanted_on = None
            return
        if not self._around.free():
            self._wanted_on = None
            self._around.say(words.RUN_FIRST)
            return
        download = self._around.download()
        if download is None:
            self._wanted_on = None
            return
        looks.search(Search(prompts, self._scene.scorer, download))

    def _searched(self, job: Job, ending: Ending | None) -> None:
        """Show how looking at objects goes."""
        if ending is None:
            self._around.watch(job)
            return
        self._around.rest(job)
        self._looked = ending == "done"
        if ending == "cancelled" and job.doing.startswith(DOWNLOADING):
            self._around.say(words.DOWNLOAD_CANCELLED)
        if ending == "failed":
            self._wanted_on = None
            self._show()

    def _terms(self, index: Index) -> Terms:
        """Return what the controls say."""
        page = self._page
        region = self._around.region(index) if page.inside.value else None
        return Terms(
            threshold=round(page.threshold.value, _DECIMALS),
            likeness=round(page.likeness.value, _DECIMALS),
            top_k=page.top_k.value or None,
            region=region,
        )

    def _are_taken(self, candidates: Instances) -> NDArray[np.bool_]:
        """Return (N,): which candidates of the plane in view are labelled already."""
        work, view = self._scene.written(), self._scene.view
        if work is None or view is None:
            return np.zeros(len(candidates), bool)
        existing, index = self._around.settings()[0], view.index
        key = (candidates, work, index, existing)
        if self._taken is None or self._taken[0] != key:
            taken = labelled(candidates, lambda w: work.canvas.read(index, w), existing)
            self._taken = (key, taken)
        return self._taken[1]

    def _object(self, candidate: int) -> Instances:
        assert self.searching.answers is not None
        return self.searching.answers.selection.candidates[[candidate]]

    def _tell_found(self) -> None:
        """Say, once, what came of a question."""
        if self._tell:
            self._tell = False
            number = 0 if self.shown is None else len(self.shown)
            self._around.say(words.found_now(number) if number else self._nothing())

    def _nothing(self) -> str:
        """Say why there is nothing to take."""
        answers = self.searching.answers
        if answers is None:
            return words.NOTHING_ASKED
        if not answers.searched:
            return words.NO_CANDIDATES
        if self.searching.text is not None:
            return words.NOTHING_FOUND
        compared = np.isfinite(answers.likeness).any()
        return words.NOTHING_ALIKE if compared else words.NOT_AN_EXAMPLE

    def _show(self) -> None:
        """Show what is asked, and what answers."""
        page, searching = self._page, self.searching
        page.show_kind(by_words=searching.text is not None or not searching.examples)
        page.show_examples(len(searching.examples) if searching.text is None else 0)
        kept, answers = self.shown, searching.answers
        if kept is None or answers is None:
            page.show_found(0, self._why_none())
        else:
            page.show_found(len(kept), words.found(len(kept), answers.searched, answers.taken))
        self._show_place()
        self._around.show()

    def _why_none(self) -> str:
        """Say why nothing is shown; nothing while that is on its way."""
        view = self._scene.view
        if view is None or not self.searching.asked:
            return ""
        if self._nowhere(self._terms(view.index)):
            return words.NO_REGIONS
        return "" if self._wanted_on == self._here() else words.ASK_HERE

    def _show_place(self) -> None:
        """Say where one is among what was found."""
        ranked, at = self.searching.ranked, self.searching.at
        place = ranked.index(at) if at is not None and at in ranked else None
        text = "" if at is None else self.told(at)
        self._page.show_place(words.ranked(place, len(ranked), text))
