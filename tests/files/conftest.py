"""What the tests of files share."""

import subprocess
import sys

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte, where the system lets the tests have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only the system's administrator may mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
