import errno
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest

from napari_fastsam._files import clear_leftovers, whole


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_a_file_never_replaces_a_folder(tmp_path):
    (tmp_path / "a.tif").mkdir()
    (tmp_path / "a.tif" / "kept").touch()
    with pytest.raises(OSError, match=r"a\.tif"), whole(tmp_path / "a.tif", overwrite=True) as new:
        new.write_text("text")
    assert names(tmp_path) == ["a.tif"]
    assert names(tmp_path / "a.tif") == ["kept"]


def _write_half(path):
    with whole(path, overwrite=True) as partial:
        partial.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_what_a_killed_process_wrote_never_has_the_name_and_can_be_cleared(tmp_path):
    path = tmp_path / "a.tif"
    path.write_text("old")
    process = multiprocessing.get_context("spawn").Process(target=_write_half, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2
    clear_leftovers(path)
    assert names(tmp_path) == ["a.tif"]


def test_a_folder_that_was_about_to_be_replaced_is_put_back(tmp_path):
    (tmp_path / ".a.zarr-0123abcd.old").mkdir()
    (tmp_path / ".a.zarr-0123abcd.old" / "chunk").touch()
    (tmp_path / ".a.zarr-0123abcd.part").mkdir()
    (tmp_path / ".a.zarr-mine.part").touch()
    clear_leftovers(tmp_path / "a.zarr")
    assert names(tmp_path) == [".a.zarr-mine.part", "a.zarr"]
    assert names(tmp_path / "a.zarr") == ["chunk"]


def test_a_full_disk_says_what_to_do_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.tif"
    path.write_text("old")
    with (
        pytest.raises(OSError, match=r"room on the disk for .*a\.tif.*nothing of it.*free") as full,
        whole(path, overwrite=True) as partial,
    ):
        partial.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert full.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.tif"]


def test_a_disk_that_fills_up_keeps_the_old_folder_and_nothing_of_the_new_one(small_disk):
    path = small_disk / "a.zarr"
    path.mkdir()
    (path / "chunk").write_text("old")
    with (
        pytest.raises(OSError, match="room on the disk"),
        whole(path, overwrite=True) as partial,
    ):
        partial.mkdir()
        for n in range(20):
            (partial / f"{n}").write_bytes(bytes(100_000))
    assert names(small_disk) == ["a.zarr"]
    assert (path / "chunk").read_text() == "old"
