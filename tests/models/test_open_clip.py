"""What the import of open_clip leaves alone."""

import subprocess
import sys

CODE = """
import sys
from napari_fastsam.models._open_clip import pretrained
assert "laion2b_s34b_b79k" in pretrained("ViT-B-32")
print([name for name in sys.modules if name.partition(".")[0] == "triton"])
"""


def test_triton_is_not_loaded_whose_llvm_and_that_of_a_software_renderer_end_the_process():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
