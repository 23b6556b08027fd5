from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch

from napari_fastsam.models import lessons as module
from napari_fastsam.models.lessons import (
    RARE_CLASSES,
    all_domains,
    earlier_domains,
    plan,
    recognised,
)

SIZE = 64


class Oracle(torch.nn.Module):
    """Sees one box of one class, wherever the image is bright."""

    def __init__(self, box=(8, 8, 40, 40), of=5, classes=80, score=0.9):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        x0, y0, x1, y1 = box
        one = torch.zeros(4 + classes + 32)
        one[:4] = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])
        one[4 + of] = score
        self.prediction = one[None, :, None]

    def forward(self, batch):
        return (self.prediction, torch.zeros(1, 32, 16, 16)), {}


def planned(pairs, model, classes=80, photographs=("photos",), earlier=()):
    return plan(pairs, model, classes, image_size=SIZE, photographs=photographs, earlier=earlier)


def test_a_recognised_object_has_the_network_s_class():
    labels = np.zeros((SIZE, SIZE), np.uint16)
    labels[8:40, 8:40], labels[44:60, 44:60] = 1, 2
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    assert recognised(Oracle(), image, labels, SIZE).tolist() == [5, -1]
    assert recognised(Oracle(score=0.1), image, labels, SIZE).tolist() == [-1, -1]


def test_objects_are_compared_at_the_size_the_network_sees():
    labels = np.zeros((2 * SIZE, 2 * SIZE), np.uint16)
    labels[16:80, 16:80] = 1
    image = np.zeros((*labels.shape, 3), np.uint8)
    assert recognised(Oracle(), image, labels, SIZE).tolist() == [5]


def test_what_is_known_on_photographs_stays_and_the_rest_gets_a_class_of_its_domain(pairs):
    lessons = planned(pairs, Oracle())
    cells, photos = RARE_CLASSES[:2]
    assert lessons.domains == {"cells": cells, "photos": photos}
    assert lessons.new == (cells, photos)
    assert [o.tolist() for o in lessons.objects] == [[cells] * 2] * 2 + [[5, photos]] * 2


def test_a_domain_that_the_network_knows_keeps_its_class(pairs):
    for pair in pairs:
        labels = tifffile.imread(pair.labels)
        tifffile.imwrite(pair.labels, np.where(labels == 2, 0, labels))
    lessons = planned(pairs, Oracle(of=12), photographs=())
    assert lessons.domains == {"cells": 12, "photos": 12}
    assert lessons.new == ()


def test_a_network_of_one_class_has_no_class_to_spare(pairs):
    lessons = planned(pairs, Oracle(of=0, classes=1, score=0.1), classes=1)
    assert set(lessons.domains.values()) == {0}
    assert lessons.new == ()


def test_a_class_that_an_earlier_domain_has_is_not_written_over(pairs):
    unknown = planned(pairs, Oracle(score=0.1), earlier=RARE_CLASSES[:2])
    assert unknown.domains == {"cells": RARE_CLASSES[2], "photos": RARE_CLASSES[3]}
    seldom_known = planned(pairs, Oracle(of=RARE_CLASSES[0]), earlier=RARE_CLASSES[:2])
    assert set(seldom_known.domains.values()) == {RARE_CLASSES[0]}
    assert seldom_known.new == ()


def test_of_the_classes_of_another_network_a_domain_has_the_one_seen_most(pairs):
    lessons = planned(pairs, Oracle(of=3, classes=5), classes=5)
    assert lessons.domains == {"cells": 3, "photos": 3}


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": "b"}', "[" * 100_000], ids=lambda t: t[:3])
def test_what_another_program_wrote_about_domains_is_passed_over(text):
    assert earlier_domains({"domains": text}) == {}


def test_what_a_file_says_about_its_domains_is_read():
    assert earlier_domains({"domains": json.dumps({"cells": 78})}) == {"cells": 78}
    assert earlier_domains({}) == {}


def test_no_class_of_an_earlier_run_is_lost_to_a_domain_of_the_same_name():
    once = all_domains({"images": 78}, {"images": 70})
    assert set(all_domains(once, {"images": 12}).values()) == {78, 70, 12}
    assert all_domains({"images": 78}, {"images": 78}) == {"images": 78}


def test_objects_are_compared_in_parts(monkeypatch):
    labels = np.zeros((SIZE, SIZE), np.uint16)
    labels[44:60, 44:60], labels[8:40, 8:40], labels[:4, :4] = 1, 2, 3
    monkeypatch.setattr(module, "_COMPARED", 1)
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    assert recognised(Oracle(), image, labels, SIZE).tolist() == [-1, 5, -1]
    nothing = recognised(Oracle(), image, np.zeros_like(labels), SIZE)
    assert nothing.tolist() == []
