"""What tests of live prompts share: ground without a viewer, and a person who draws on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fakes import ShortSighted
from napari_fastsam import Cleanup, Display, Instances, Labelling, PlaneAxes, Prompts
from napari_fastsam._napari.asked import Drawing, point_rows, shape_row
from napari_fastsam._napari.live import Live
from napari_fastsam.canvas import ArrayCanvas
from napari_fastsam.closer import Seen, next_window
from napari_fastsam.looking import Looking

LAYOUT = PlaneAxes("ZYX", (2, 96, 96))
AS_IS = Display(contrast_limits=(0, 255))

LARGE = {1: (8, 8, 24, 26), 2: (8, 50, 30, 66), 3: (56, 10, 80, 34)}
SMALL = {4: (60, 60, 66, 67), 5: (82, 84, 88, 90)}
"""Boxes of the objects; the small ones are found in a closer look only."""


def picture() -> np.ndarray:
    """Return (2, 96, 96) uint8: bright rectangles; the second plane lacks the first one."""
    image = np.zeros(LAYOUT.shape, np.uint8)
    for n, (top, left, bottom, right) in {**LARGE, **SMALL}.items():
        image[:, top:bottom, left:right] = 200
        if n == 1:
            image[1, top:bottom, left:right] = 0
    return image


def middle(n: int) -> tuple[int, int]:
    top, left, bottom, right = {**LARGE, **SMALL}[n]
    return (top + bottom) // 2, (left + right) // 2


class Ground:
    """Planes that are looked at when the test says so, and labels that are made when needed."""

    def __init__(self, image=None, model=None, *, axes="ZYX", known=(), array=None, closer=True):
        self.image = picture() if image is None else image
        self.model = ShortSighted(image_size=64, least=8) if model is None else model
        self.looking = Looking(self.image, self.model, axes=axes, display=AS_IS)
        self.wanted: list[tuple[int, ...]] = []
        self.queue: list[tuple[tuple[int, ...], Prompts]] = []
        self.closer = closer
        self.known: dict[tuple[int, ...], Seen] = {}
        self.array = np.zeros(self.looking.axes.label_shape, np.uint32) if array is None else array
        self.labelling: Labelling | None = None
        self.refusal: Exception | None = None
        for index in known:
            self.come(index)

    def come(self, index) -> None:
        self.known[index] = self.looking(index, Prompts())

    def candidates(self, index):
        seen = self.known.get(index)
        return None if seen is None else seen.candidates

    def work(self, *, make):
        if self.refusal is not None:
            raise self.refusal
        if self.labelling is None and make:
            self.labelling = Labelling(
                ArrayCanvas(self.array, self.looking.axes),
                self.seen,
                first=int(self.array.max()) + 1,
            )
            self.labelling.sources.append(self.looking.record())
        return self.labelling

    def seen(self, index, _):
        nothing = Instances.empty(self.looking.axes.plane_shape)
        return self.known.get(index, Seen(nothing, 0))

    def look(self, index):
        if index not in self.wanted:
            self.wanted.append(index)

    def look_closer(self, index, prompts):
        if not self.closer or next_window(self.known[index], prompts) is None:
            return False
        self.queue.append((index, prompts))
        return True


class Person:
    """Draws points and shapes, and has them asked at once."""

    def __init__(self, ground: Ground, *, existing="keep", cleanup=None, flat=False) -> None:
        self.ground = ground
        self.told: list = []
        self.points: list = []
        self.shapes: list = []
        self.flat = flat
        self.view = (0,) * len(ground.looking.axes.steps)
        how = (existing, cleanup or Cleanup())
        self.live = Live(ground, lambda: how, self.told.append)
        self.live.adopt(self.drawing())

    @property
    def axes(self) -> PlaneAxes:
        return self.ground.looking.axes

    @property
    def labels(self) -> np.ndarray:
        return self.ground.array

    @property
    def work(self) -> Labelling:
        assert self.ground.labelling is not None
        return self.ground.labelling

    @property
    def last(self):
        return self.told[-1]

    def point(self, place, plane=None, *, positive=True, group=None):
        plane = self.view if plane is None else plane
        position = np.array([(*plane, *place)], float)
        return point_rows(self.axes, position, [positive], [group])[0]

    def shape(self, box, plane=None, kind="rectangle"):
        plane = self.view if plane is None else plane
        (r0, c0), (r1, c1) = box[:2], box[2:]
        outline = np.array([(r0, c0), (r0, c1), (r1, c1), (r1, c0)]) - 0.5
        return shape_row(self.axes, kind, np.insert(outline, [0] * len(plane), plane, axis=1))

    def drawing(self) -> Drawing:
        points, shapes = tuple(self.points), tuple(self.shapes)
        if self.flat:
            points = tuple(row._replace(plane=self.view) for row in points)
            shapes = tuple(row._replace(plane=self.view) for row in shapes)
        return Drawing(points, shapes, (self.flat, self.flat), memo=(points, shapes))

    def ask(self, **options) -> None:
        self.live.changed(self.drawing(), **options)

    def add(self, *rows, **options) -> None:
        for row in rows:
            (self.shapes if hasattr(row, "kind") else self.points).append(row)
        self.ask(**options)

    def click(self, place, plane=None, **options) -> None:
        self.add(self.point(place, plane, **options))

    def move(self, n, place) -> None:
        row = self.points[n]
        moved = self.point(place, row.plane, positive=row.positive, group=row.group)
        self.points[n] = moved
        self.ask()

    def remove(self, n) -> None:
        del self.points[n]
        self.ask()

    def give_back(self, label, plane) -> bool:
        name = self.live.ledger.owner(label, plane)
        rows = ([], []) if name is None else self.live.ledger.rows_of(name)
        found = self.live.give_back(label, plane)
        for kept, gone in zip((self.points, self.shapes), rows, strict=True):
            kept[:] = [row for n, row in enumerate(kept) if n not in gone]
        self.live.drawn(self.drawing())
        return found

    def undo(self):
        step = self.work.undo()
        return step if step is None else self.follow(step, back=True)

    def redo(self):
        step = self.work.redo()
        return step if step is None else self.follow(step, back=False)

    def follow(self, step, *, back):
        drawing = self.live.undo(step, back=back)
        if drawing is not None:
            self.points, self.shapes = list(drawing.points), list(drawing.shapes)
        return step

    def arrive(self, index=None) -> None:
        """Let a plane be looked at that is wanted."""
        index = self.ground.wanted[0] if index is None else index
        if index in self.ground.wanted:
            self.ground.wanted.remove(index)
        if index not in self.ground.known:
            self.ground.come(index)
        self.live.arrived(index)

    def arrive_closer(self) -> None:
        """Let the closer look that waits longest be done."""
        index, prompts = self.ground.queue.pop(0)
        self.ground.known[index] = self.ground.looking(index, prompts)
        self.live.arrived(index)

    def is_object(self, n, plane=(0,)) -> int:
        """Return the label that an object has, all of it and nothing else; 0 for none."""
        top, left, bottom, right = {**LARGE, **SMALL}[n]
        (label,) = np.unique(self.labels[plane][top:bottom, left:right])
        assert label == 0 or np.count_nonzero(self.labels == label) == (bottom - top) * (
            right - left
        )
        return int(label)


def settled(asked):
    """Return what counts of an object that is asked for."""
    return (asked.index, asked.rows, asked.label, asked.choice, asked.settled, asked.crowded)


def copy_of(ledger) -> dict:
    return {name: settled(asked) for name, asked in ledger.objects.items()}


def painted(work, plane, window, value) -> None:
    """Paint by hand."""
    from napari_fastsam.history import Edit

    before = work.canvas.read(plane, window)
    after = np.full_like(before, value)
    work.canvas.write(plane, window, after)
    work.painted([replace(Edit.between(plane, window, before, after))])
