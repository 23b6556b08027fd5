"""What the import of open_clip and of torchvision leaves alone."""

import subprocess
import sys

CODE = """
import sys
import torch
from napari_fastsam.models._open_clip import pretrained
from napari_fastsam.models import on_device
assert "laion2b_s34b_b79k" in pretrained("ViT-B-32")
settings = {"confidence": 0.0, "iou": 0.7, "max_candidates": 5}
assert len(on_device.detect(torch.rand(37, 5), **settings).boxes)
print([name for name in sys.modules if name.partition(".")[0] == "triton"])
"""


def test_triton_is_not_loaded_whose_llvm_and_that_of_a_software_renderer_end_the_process():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
