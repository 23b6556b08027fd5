"""The dock widget: its values become a `Request`, and what comes of it is said and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import notification_manager, show_error

from napari_fastsam._napari import words
from napari_fastsam._napari.form import Form
from napari_fastsam._napari.labels import check_labels
from napari_fastsam._napari.layers import make_request, read_prompts
from napari_fastsam._napari.models import confirm_download, needs_download
from napari_fastsam._napari.prompt_layers import points_layer, shapes_layer
from napari_fastsam._napari.session import Run, Session
from napari_fastsam._napari.status import on_orphaned
from napari_fastsam._napari.views import display_of, displayed_plane
from napari_fastsam.planes import Display
from napari_fastsam.segmenter import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer
    from magicgui.widgets import ComboBox
    from napari.layers import Layer

    from napari_fastsam._napari.worker import Ending
    from napari_fastsam.pipeline import PlaneResult
    from napari_fastsam.segmenter import Segmenter

EXPECTED_ERRORS = (ValueError, TypeError, OSError)
"""Errors that say what to do; any other is shown with its traceback."""


class FastSamWidget(Form):
    """Segment the plane in view: what points and shapes ask for, or everything.

    Parameters
    ----------
    viewer
        The viewer whose layers are offered.
    model
        A segmenter to use in place of the models that can be chosen.
    """

    def __init__(self, viewer: napari.viewer.Viewer, model: Segmenter | None = None) -> None:
        super().__init__(viewer)
        self.session = Session(viewer, model, found=self._found, ended=self._ended)
        self.segment_button.clicked.connect(self.segment_plane)
        self.everything_button.clicked.connect(self.everything)
        self.prompts_stack_button.clicked.connect(self.segment_stack)
        self.everything_stack_button.clicked.connect(self.everything_stack)
        self.add_points.clicked.connect(self.new_points)
        self.add_shapes.clicked.connect(self.new_shapes)
        self.status.cancel_button.clicked.connect(self.cancel)
        self.native.destroyed.connect(self.session.worker.close)
        on_orphaned(self.native, self.session.worker.cancel)

    def segment_plane(self) -> None:
        """Take the objects that points and shapes ask for on the plane in view."""
        self._start(everything=False)

    def everything(self) -> None:
        """Take every object of the plane in view."""
        self._start(everything=True)

    def segment_stack(self) -> None:
        """Take the objects that points and shapes ask for on all planes."""
        self._start(everything=False, whole_stack=True)

    def everything_stack(self) -> None:
        """Take every object of all planes."""
        self._start(everything=True, whole_stack=True)

    def cancel(self) -> None:
        """Stop, and drop the plane that is being worked on; what is written stays."""
        self.session.worker.cancel()

    def new_points(self) -> None:
        """Make a Points layer on the image, ready for clicks, and choose it."""
        self._add_prompt_layer(points_layer, self.points, "add")

    def new_shapes(self) -> None:
        """Make a Shapes layer on the image, ready for boxes, and choose it."""
        self._add_prompt_layer(shapes_layer, self.shapes, "add_rectangle")

    def _add_prompt_layer(self, make: Callable[..., Layer], box: ComboBox, mode: str) -> None:
        image = self.image.value
        if image is None:
            self.status.say(words.NO_IMAGE)
            return
        try:
            plane_shape = displayed_plane(image, self.viewer.dims).axes.plane_shape
        except EXPECTED_ERRORS as error:
            self._show(error)
            return
        layer = make(image, plane_shape)
        self.viewer.add_layer(layer)
        layer.mode = mode  # adding resets it
        box.value = layer

    def _start(self, *, everything: bool, whole_stack: bool = False) -> None:
        """Freeze the layers and values into a run and give it to the worker."""
        if self.image.value is None:
            self.status.say(words.NO_IMAGE)
            return
        try:
            asked = self._make_run(everything=everything, whole_stack=whole_stack)
        except EXPECTED_ERRORS as error:
            self._show(error)
            return
        if not asked.request.planes():
            self.status.say(words.NOTHING_DRAWN)
            return
        name = getattr(asked.model.spec, "model", "")
        if needs_download(name):
            if not confirm_download(name, self.native):
                self.status.say(words.not_downloaded(name))
                return
            asked.download = name
        self.status.watch(self.session.start(asked))

    def _make_run(self, *, everything: bool, whole_stack: bool = False) -> Run:
        """Return the run that the layers and values ask for."""
        image, labels, settings = self.image.value, self.output.value, self.settings.settings
        view = displayed_plane(image, self.viewer.dims)
        if labels is not None:
            check_labels(labels, image, view.axes)
        found = None
        if not everything:
            drawn = {"points": self.points.value, "shapes": self.shapes.value}
            found = read_prompts(image, view.axes, view=view, **drawn)
        display = display_of(image) if settings.contrast == "as shown" else Display()
        request = make_request(
            image,
            view.axes,
            prompts=found,
            view=None if whole_stack else view,
            display=display,
            confidence=self.confidence.value if everything else None,
            cleanup=self.cleanup.cleanup,
            link=whole_stack and self.linked.value,
            key=self.session.key(image, view.axes, display),
        )
        spec = ModelSpec(
            model=self.model.value, device=settings.device, image_size=settings.image_size
        )
        return Run(
            image=image,
            labels=labels,
            existing=settings.existing,
            request=request,
            model=self.session.model(spec),
            tally=words.Tally(left_out=0 if found is None else found.left_out),
        )

    def _found(self, asked: Run, result: PlaneResult, seconds: float) -> None:
        """Say what the network found on a plane, and choose the layer it was written to."""
        if asked.labels is not None:
            self.output.value = asked.labels
        number, model = len(result.candidates), asked.model.description
        self.status.state(
            "ready" if number else "none",
            words.details(number, model, seconds),
        )

    def _ended(self, asked: Run, ending: Ending, error: Exception | None) -> None:
        """Say how a run ended, unless a newer one is on its way."""
        if self.session.worker.busy:
            return
        self.status.rest()
        if error is not None:
            self._show(error)
        elif self.session.is_gone(asked):
            self.status.say(words.LAYER_GONE)
        else:
            self.status.say(asked.tally.sentence(cancelled=ending == "cancelled"))

    def _show(self, error: Exception) -> None:
        """Show an error where it is seen, and keep it in the dock."""
        self.status.say(str(error))
        if isinstance(error, EXPECTED_ERRORS):
            show_error(str(error))
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)
