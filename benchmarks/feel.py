"""How the dock feels: clicks, hovering and long runs in a real viewer, beside napari's own work.

A plane of 2048 x 2048 with 500 candidates, whose network is a fake that finds ellipses, is clicked
and hovered over with the mouse events that Qt sends. napari's part is an edit of the same pixels of
another Labels layer, and a move of the mouse while the dock is off; both take turns with ours. Then
*everything* runs on a stack with the real network, while a timer notices how long the main thread
is held, and one plane is segmented beside the main thread and in it.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/feel.py
    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/feel.py --only hover --processor
"""

from __future__ import annotations

import argparse
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from qtpy.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from _beside import discs, print_table
from _beside import seconds as wall_seconds
from napari_fastsam import Instances, ModelSpec
from napari_fastsam._napari.widget import FastSamWidget
from napari_fastsam._napari.worker import Job, KeptModel, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.layers import Labels
    from numpy.typing import NDArray

SIDE, CANDIDATES = 2048, 500
SECTIONS = ("click", "hover", "stack", "worker")
HEADER = ("", "ms, median", "worst", "napari alone", "ratio")
HEARTBEAT = 5  # milliseconds
LONG = 0.05  # seconds that the main thread is not to be held
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


class Clock:
    """What times of clicks and hovering are read from."""

    now: Callable[[], float] = staticmethod(time.perf_counter)


class Ellipses:
    """Finds the same ellipses on every plane: 400 apart from each other, 100 larger over them."""

    spec = "ellipses"

    def __init__(self, side: int = SIDE, count: int = CANDIDATES, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        per_row = int(np.sqrt(count * 0.8))
        pitch = side / per_row
        self.centres = (np.stack(np.divmod(np.arange(per_row**2), per_row), 1) + 0.5) * pitch
        clusters = rng.uniform(0.15 * side, 0.85 * side, (count - per_row**2, 2))
        masks, boxes = [], []
        for n, centre in enumerate(np.concatenate([self.centres, clusters])):
            small = n < per_row**2
            radii = rng.uniform(0.3, 0.45, 2) * pitch * (1 if small else 3)
            mask, box = ellipse(centre, radii)
            masks.append(mask)
            boxes.append(box)
        scores = rng.uniform(0.3, 0.99, count).astype(np.float32)
        self.found = Instances.from_masks((side, side), masks, boxes, scores)

    def segment(self, image: NDArray[np.uint8]) -> Instances:
        """Return them."""
        assert image.shape[:2] == self.found.shape
        return self.found


def ellipse(
    centre: NDArray[np.float64], radii: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], tuple[int, ...]]:
    """Return the pixels of an upright ellipse, cropped, and their box."""
    low, high = np.floor(centre - radii).astype(int), np.ceil(centre + radii).astype(int) + 1
    rows, columns = np.ogrid[low[0] : high[0], low[1] : high[1]]
    mask = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1
    return mask, (*low.tolist(), *high.tolist())


class Bench:
    """A viewer with the dock on an image, and a mouse."""

    def __init__(self, image: NDArray[np.uint8], model: Any = None) -> None:
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1400, 900)
        self.image = self.viewer.add_image(image, contrast_limits=(0, 255))
        self.dock = FastSamWidget(self.viewer, model=model)
        self.viewer.window.add_dock_widget(self.dock, name="FastSAM")
        self.settle()
        widgets = QApplication.instance().allWidgets()
        self.canvas = next(w for w in widgets if type(w).__name__ == "CanvasBackendDesktop")

    def settle(self) -> None:
        """Wait until nothing is worked on and all is drawn."""
        workers = (self.dock.scene.looks.worker, self.dock.runs.worker)
        QTest.qWait(50)
        while any(worker.busy for worker in workers):
            QTest.qWait(20)
        draw()

    def at(self, place: NDArray[np.float64]) -> QPoint:
        """Return where a pixel of the plane is on the canvas."""
        camera = self.viewer.scene.camera
        offset = (place - np.array(camera.center[1:])) * camera.zoom
        size = self.canvas.size()
        return QPoint(
            round(size.width() / 2 + float(offset[1])), round(size.height() / 2 + float(offset[0]))
        )

    def move(self, place: NDArray[np.float64]) -> None:
        """Move the mouse to a pixel of the plane."""
        self._send(QEvent.Type.MouseMove, place, NONE, NONE)

    def press(self, place: NDArray[np.float64]) -> None:
        """Press the left button."""
        self._send(QEvent.Type.MouseButtonPress, place, LEFT, LEFT)

    def release(self, place: NDArray[np.float64]) -> None:
        """Release it: only then a click is known to be no drag."""
        self._send(QEvent.Type.MouseButtonRelease, place, LEFT, NONE)

    def _send(self, kind: Any, place: NDArray[np.float64], button: Any, held: Any) -> None:
        """Have the canvas handle an event of the mouse, and nothing else that waits."""
        at = QPointF(self.at(place))
        there = QPointF(self.canvas.mapToGlobal(at))
        none = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, at, there, button, held, none))

    def clicks(self) -> Labels:
        """Begin to click, and make the Labels layer with a first object at the last centre."""
        self.dock.take_clicks()
        self.settle()
        centre = self.dock.scene.in_view.bboxes[0].reshape(2, 2).mean(0)
        for act in (self.move, self.press, self.release):
            act(centre)
        self.settle()
        return self.dock.scene.labels

    def close(self) -> None:
        """Close the viewer."""
        self.settle()
        self.viewer.close()
        draw()


def draw() -> None:
    """Handle what waits, repainting included."""
    QApplication.processEvents()


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = Clock.now()
    work()
    return Clock.now() - start


@contextmanager
def noted(event: Any) -> Iterator[list[float]]:
    """Note how many seconds after the beginning an event of a layer comes."""
    start = Clock.now()
    times: list[float] = []

    def note(_: Any = None) -> None:
        times.append(Clock.now() - start)

    event.connect(note)
    yield times
    event.disconnect(note)


@contextmanager
def timed(owner: type, name: str) -> Iterator[list[float]]:
    """Note how long each call of a method takes, of objects that are made meanwhile."""
    method, times = getattr(owner, name), []

    def noting(self: object) -> None:
        start = Clock.now()
        method(self)
        times.append(Clock.now() - start)

    setattr(owner, name, noting)
    yield times
    setattr(owner, name, method)


def row(name: str, ours: list[float], theirs: list[float] | None = None) -> list[str]:
    """Return a line of the table from seconds."""
    line = [name, f"{1e3 * median(ours):.1f}", f"{1e3 * max(ours):.1f}", "", ""]
    if theirs:
        line[3:] = [f"{1e3 * median(theirs):.1f}", f"{median(ours) / median(theirs):.2f}"]
    return line


def click(repeats: int) -> list[list[str]]:
    """Click objects, and write the same pixels into another Labels layer with napari."""
    model = Ellipses()
    bench = Bench(np.zeros((SIDE, SIDE), np.uint8), model)
    labels = bench.clicks()
    plain = bench.viewer.add_labels(np.zeros((SIDE, SIDE), labels.data.dtype))
    bench.viewer.layers.selection.active = bench.dock.points.value
    bench.dock.points.value.mode = "add"
    bench.settle()
    data, ours, theirs, handled = [], [], [], []
    for centre in np.random.default_rng(1).permutation(model.centres[1:])[:repeats]:
        bench.move(centre)
        bench.press(centre)
        draw()
        before = labels.data.copy()
        with noted(labels.events.labels_update) as changed:
            handled.append(seconds(lambda c=centre: bench.release(c)))
        ours.append(handled[-1] + seconds(draw))
        data += changed[:1]
        where = np.nonzero(labels.data != before)
        assert len(where[0])
        value = int(labels.data[where][0])
        theirs.append(seconds(lambda w=where, v=value: plain.data_setitem(w, v)) + seconds(draw))
        bench.settle()
    bench.close()
    return [
        row("click to changed labels", data),
        row("click until all is done", handled),
        row("click to repainted pixels", ours, theirs),
    ]


def hover(repeats: int) -> list[list[str]]:
    """Move the mouse from object to object, with the dock and with napari alone."""
    model = Ellipses()
    bench = Bench(np.zeros((SIDE, SIDE), np.uint8), model)
    bench.clicks()
    points = bench.dock.points.value
    ours, painted, theirs, outlines = [], [], [], []
    for mode, moves, paints in (("add", ours, painted), ("pan_zoom", theirs, [])):
        points.mode = mode
        bench.settle()
        for centre in np.random.default_rng(2).permutation(model.centres[1:])[:repeats]:
            moves.append(seconds(lambda c=centre: bench.move(c)))
            paints.append(moves[-1] + seconds(draw))
    for n in range(repeats):
        mask, box = model.found.mask(n), model.found.bboxes[n].tolist()
        outlines.append(seconds(lambda m=mask, b=box: bench.dock.preview.outline(m, b, score=0.5)))
        draw()
    bench.close()
    return [
        row("mouse to outline and score", ours, theirs),
        row("of which the outline", outlines),
        row("mouse to repainted outline", painted),
    ]


def stack(planes: int) -> list[list[str]]:
    """Run *everything* on all planes with the real network, and listen to the main thread."""
    plane = discs(SIDE, CANDIDATES)[..., 0]
    with timed(Worker, "_bit") as bits:
        bench = Bench(np.stack([np.roll(plane, 17 * n, axis=0) for n in range(planes)]))
        bench.clicks()
        idle = held(lambda: QTest.qWait(1000))
        bits.clear()
        started = time.perf_counter()
        gaps = held(lambda: (bench.dock.everything_stack(), bench.settle()))
        took = time.perf_counter() - started
    refresh = [seconds(lambda: (bench.dock.scene.labels.refresh(), draw())) for _ in range(9)]
    assert bench.dock.scene.labels.data.any((1, 2)).all()
    bench.close()
    often = sum(bit > LONG for bit in bits)
    return [
        held_row(f"main thread held, {planes} planes in {took:.0f} s", gaps),
        row(f"of which by the plugin at once, {often} times over {1e3 * LONG:.0f} ms", bits),
        held_row("main thread held, nothing to do", idle),
        row("napari repaints all labels of a plane", refresh),
    ]


def held_row(name: str, gaps: list[float]) -> list[str]:
    """Return a line of the table from how late the beats of a timer came, in seconds."""
    often = sum(gap > LONG for gap in gaps)
    return [f"{name}, {often} times over {1e3 * LONG:.0f} ms", "", f"{1e3 * max(gaps):.0f}", "", ""]


def held(work: Callable[[], object]) -> list[float]:
    """Return by how much each beat of a timer came late while `work` handled events, in seconds."""
    late: list[float] = []
    last = time.perf_counter()

    def beat() -> None:
        nonlocal last
        now = time.perf_counter()
        late.append(max(now - last - HEARTBEAT / 1e3, 0.0))
        last = now

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(beat)
    timer.start(HEARTBEAT)
    work()
    timer.stop()
    return late


def worker(repeats: int) -> list[list[str]]:
    """Segment a plane in the dock's thread and in the main thread, by turns."""
    image, thread = discs(SIDE, CANDIDATES), Worker()
    model = KeptModel(ModelSpec(model="starter", device="cpu"))
    app = QApplication.instance() or QApplication([])

    def beside() -> None:
        loop = QEventLoop(app)
        work = lambda _: iter([model.segment(image)])  # noqa: E731
        thread.submit(Job(work, lambda _: None, lambda *_: loop.quit()))
        loop.exec()

    beside()
    model.segment(image)
    turns = [
        [wall_seconds(work) for work in (beside, lambda: model.segment(image))]
        for _ in range(repeats)
    ]
    ours, theirs = zip(*turns, strict=True)
    return [row("one plane, thread / main thread", list(ours), list(theirs))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--planes", type=int, default=40, help="of the stack")
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument(
        "--processor",
        action="store_true",
        help="count the main thread's processor time, where the machine has more to do",
    )
    options = parser.parse_args()
    if options.processor:
        Clock.now = staticmethod(time.thread_time)
    rows = []
    for name in options.only or SECTIONS:
        section = {"click": click, "hover": hover, "stack": stack, "worker": worker}[name]
        rows += section(options.planes if name == "stack" else options.repeats)
    print_table(HEADER, rows)


if __name__ == "__main__":
    main()
