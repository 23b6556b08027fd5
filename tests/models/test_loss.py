from __future__ import annotations

import pytest
import torch

from napari_fastsam.models.anchors import anchors, boxes_from, sides_from
from napari_fastsam.models.forgetting import forgotten
from napari_fastsam.models.loss import Outputs, Target, assign, loss

BOX = torch.tensor([[8.0, 16.0, 40.0, 56.0]])


def outputs(batch=1, classes=3, size=64):
    """A network that knows nothing."""
    torch.manual_seed(1)
    points, _ = anchors(size, size)
    count = len(points)
    return Outputs(
        sides=torch.zeros(batch, count, 4, 16),
        scores=torch.full((batch, count, classes), -3.0),
        coefficients=torch.randn(batch, count, 32),
        prototypes=torch.randn(batch, 32, size // 4, size // 4),
        features=(torch.randn(batch, 8, 8, 8), torch.randn(batch, 8, 4, 4)),
    )


def target(box=BOX, size=64):
    masks = torch.zeros(len(box), size // 4, size // 4)
    for mask, (x0, y0, x1, y1) in zip(masks, (box / 4).int().tolist(), strict=True):
        mask[y0:y1, x0:x1] = 1
    return Target(box, torch.ones(len(box), dtype=torch.long), masks)


def none():
    return target(torch.zeros(0, 4))


def test_there_is_an_anchor_in_every_cell_of_three_strides():
    points, strides = anchors(64, 96)
    assert len(points) == 8 * 12 + 4 * 6 + 2 * 3
    assert points[0].tolist() == [4, 4]
    assert points[-1].tolist() == [80, 48]
    assert strides[-1] == 32


def test_boxes_and_their_sides_are_inverse():
    points, strides = anchors(64, 64)
    reach = torch.rand(len(points), 4) * 10
    boxes = boxes_from(reach, points, strides)
    torch.testing.assert_close(sides_from(boxes, points, strides, 16), reach)


def test_the_predictions_that_fit_an_object_answer_for_it():
    points, _ = anchors(64, 64)
    boxes = torch.zeros(len(points), 4)
    inside = ((points > BOX[0, :2]) & (points < BOX[0, 2:])).all(1)
    good = torch.nonzero(inside)[:3, 0]
    boxes[good] = BOX[0]
    scores = torch.full((len(points), 3), 0.1)
    anchor, owner, score = assign(boxes, scores, target(), points)
    assert set(good.tolist()) <= set(anchor.tolist())
    assert not owner.any()
    torch.testing.assert_close(score[torch.isin(anchor, good)], torch.ones(3))
    assert score[~torch.isin(anchor, good)].max() == 0


def test_a_prediction_answers_for_one_object_only():
    points, _ = anchors(64, 64)
    close = torch.tensor([[8.0, 8.0, 40.0, 40.0], [10.0, 10.0, 42.0, 42.0]])
    boxes = close[torch.arange(len(points)) % 2]
    anchor, owner, _ = assign(boxes, torch.full((len(points), 3), 0.1), target(close), points)
    assert len(set(anchor.tolist())) == len(anchor)
    assert set(owner.tolist()) == {0, 1}


def test_an_object_smaller_than_a_cell_is_answered_for():
    points, _ = anchors(64, 64)
    tiny = torch.tensor([[20.5, 20.5, 23.0, 23.0]])
    anchor, _, _ = assign(
        points.repeat(1, 2), torch.full((len(points), 3), 0.1), target(tiny), points
    )
    assert len(anchor)


def test_the_loss_falls_when_it_is_followed():
    given = outputs()
    learned = [given.sides, given.scores, given.coefficients, given.prototypes]
    for part in learned:
        part.requires_grad_(True)
    optimizer = torch.optim.Adam(learned, lr=0.1)
    losses = []
    for _ in range(60):
        total = loss(given, [target()])
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < losses[0] / 5


def test_an_image_counts_the_same_however_many_objects_it_holds():
    given = outputs(batch=2)
    boxes = torch.tensor(
        [[r * 16.0, c * 16.0, r * 16.0 + 14, c * 16.0 + 14] for r in range(4) for c in range(4)]
    )
    one, many = target(), target(boxes)
    alone = [float(loss(given[n : n + 1], [t])) for n, t in enumerate((one, many))]
    assert float(loss(given, [one, many])) == pytest.approx(sum(alone) / 2, rel=1e-5)


def test_an_image_without_objects_teaches_silence():
    given = outputs()
    given.scores.requires_grad_(True)
    loss(given, [none()]).backward()
    assert (given.scores.grad > 0).all()


def test_nothing_is_forgotten_by_the_same_network_and_something_by_another():
    first = outputs(batch=2)
    known = torch.tensor([0, 2])
    torch.testing.assert_close(forgotten(first, first, known), torch.zeros(2), atol=1e-5, rtol=0)
    for name in ("sides", "scores", "coefficients", "prototypes"):
        parts = {n: getattr(first, n) for n in Outputs.__dataclass_fields__}
        parts[name] = parts[name] + torch.randn_like(parts[name])
        assert (forgotten(Outputs(**parts), first, known) > 0).all(), name


def test_a_new_class_may_be_learned_without_forgetting():
    first = outputs()
    scores = first.scores.clone()
    scores[..., 1] = 5.0
    changed = Outputs(first.sides, scores, first.coefficients, first.prototypes, first.features)
    lost = forgotten(changed, first, torch.tensor([0, 2]))
    torch.testing.assert_close(lost, torch.zeros(1), atol=1e-5, rtol=0)
