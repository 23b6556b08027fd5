"""Real clusters of processes on 127.0.0.1, whose members are killed in the middle of the work."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.data import coins

from napari_fastsam.cli import main

PLANES = 12
LIMIT = 300  # seconds for anything that must come
RUN = ["--link", "--image-size", "320", "--device", "cpu"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a stack in which the coins drift."""
    monkeypatch.chdir(tmp_path)
    stack = np.stack([np.roll(coins(), 3 * n, axis=1) for n in range(PLANES)])
    tifffile.imwrite("stack.tif", stack, metadata={"axes": "ZYX"})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The labels that one process makes without being disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    stack = np.stack([np.roll(coins(), 3 * n, axis=1) for n in range(PLANES)])
    tifffile.imwrite(folder / "stack.tif", stack, metadata={"axes": "ZYX"})
    assert main(["segment", f"{folder}/stack.tif", "-o", f"{folder}/v.npy", *RUN]) == 0
    return np.load(folder / "v.npy")


class Processes:
    """Processes that end with the test."""

    def __init__(self):
        self.all = []

    def start(self, *words):
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.all.append(process)
        return process

    def command(self, *words, output="v.npy"):
        return self.start("napari_fastsam", "segment", "stack.tif", "-o", output, *RUN, *words)

    def scheduler(self):
        """Start a scheduler, and return its process and address."""
        Path("scheduler.json").unlink(missing_ok=True)
        process = self.start(
            *("dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--scheduler-file", "scheduler.json"),
        )
        wait_for(lambda: Path("scheduler.json").exists())
        return process, json.loads(Path("scheduler.json").read_text())["address"]

    def worker(self, address):
        words = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60")
        return self.start("dask", "worker", address, *words)

    def end(self):
        for process in self.all:
            kill(process)
            process.communicate()


def kill(process):
    """Kill a process and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def processes():
    found = Processes()
    yield found
    found.end()


def wait_for(happened):
    start = time.monotonic()
    while not happened():
        assert time.monotonic() - start < LIMIT
        time.sleep(0.05)


def planes_done(path="v.npy.run.jsonl"):
    """Return the planes that a manifest says are done, each as often as it was done."""
    if not Path(path).exists():
        return []
    lines = [json.loads(line) for line in Path(path).read_text().splitlines(keepends=False) if line]
    return [tuple(plane) for line in lines for plane in line.get("planes", ())]


def ended(process):
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def test_a_killed_worker_costs_only_its_tasks(processes, whole):
    _, address = processes.scheduler()
    first, _ = processes.worker(address), processes.worker(address)
    run = processes.command("--scheduler", address)
    wait_for(lambda: len(planes_done()) >= 3)
    kill(first)
    status, _, err = ended(run)
    assert status == 0, err
    np.testing.assert_array_equal(np.load("v.npy"), whole)
    assert len(planes_done()) == PLANES


def test_after_the_scheduler_was_killed_the_same_command_does_the_rest(processes, whole):
    scheduler, address = processes.scheduler()
    worker = processes.worker(address)
    run = processes.command("--scheduler", address)
    wait_for(lambda: len(planes_done()) >= 3)
    kill(scheduler)
    status, _, err = ended(run)
    assert status == 2
    assert "Expected a scheduler that can be reached until the end" in err
    assert "Traceback" not in err
    assert not Path("v.npy").exists()
    kill(worker)
    _, address = processes.scheduler()
    processes.worker(address)
    status, _, err = ended(processes.command("--scheduler", address))
    assert status == 0, err
    np.testing.assert_array_equal(np.load("v.npy"), whole)
    assert sorted(planes_done()) == [(n,) for n in range(PLANES)]


def test_after_kill_9_of_the_whole_job_the_same_command_does_the_rest(processes, whole):
    run = processes.command("--workers", "2")
    wait_for(lambda: len(planes_done()) >= 3)
    kill(run)
    assert not Path("v.npy").exists()
    before = planes_done()
    status, out, err = ended(processes.command("--workers", "2"))
    assert (status, err) == (0, "")
    assert out.startswith("stack.tif: ")
    np.testing.assert_array_equal(np.load("v.npy"), whole)
    assert planes_done()[: len(before)] == before
    assert sorted(planes_done()) == [(n,) for n in range(PLANES)]
    assert sorted(os.listdir()) == ["stack.tif", "v.npy", "v.npy.run.jsonl"]


def test_one_corrupt_image_among_many_is_told_at_the_end(processes):
    Path("in").mkdir()
    for name in "abcd":
        shutil.copy("stack.tif", f"in/{name}.tif")
    os.truncate("in/c.tif", 5000)
    words = (
        "segment",
        "in",
        "-o",
        "out",
        "--image-size",
        "64",
        "--device",
        "cpu",
        "--workers",
        "2",
    )
    status, out, err = ended(processes.start("napari_fastsam", *words))
    assert status == 1
    assert err.startswith("napari-fastsam: failed: in/c.tif: Expected")
    assert "3 images" in out
    assert sorted(os.listdir("out")) == ["a.tif", "b.tif", "d.tif", "run.jsonl"]


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for half a megabyte, as root can make one."""
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    mounted = subprocess.run(words, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"needs a system that lets root mount a disk: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can mount a disk")
def test_a_full_disk_ends_the_run_and_with_more_room_it_goes_on(processes, small_disk, whole):
    output = str(small_disk / "v.npy")
    status, _, err = ended(processes.command("--workers", "2", output=output))
    assert status == 2
    assert "Expected room on the disk for" in err
    assert "Traceback" not in err
    assert not Path(output).exists()
    before = planes_done(f"{output}.run.jsonl")
    assert before
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    status, _, err = ended(processes.command("--workers", "2", output=output))
    assert status == 0, err
    np.testing.assert_array_equal(np.load(output), whole)
    assert sorted(planes_done(f"{output}.run.jsonl")) == [(n,) for n in range(PLANES)]


def test_the_tiles_of_a_large_plane_are_shared_out(processes):
    from napari_fastsam import FastSAM, Request, run

    plane = np.tile(coins(), (7, 6))[:2100, :2100]
    tifffile.imwrite("large.tif", plane, tile=(256, 256))
    _, address = processes.scheduler()
    first, _ = processes.worker(address), processes.worker(address)
    words = ("--scheduler", address, "--image-size", "320", "--tile", "600", "--device", "cpu")
    job = processes.start("napari_fastsam", "segment", "large.tif", "-o", "large.npy", *words)
    tiles = Path(".large.npy.work/tiles/plane")
    wait_for(lambda: len(list(tiles.glob("*.npz"))) >= 3 or job.poll() is not None)
    kill(first)
    status, out, err = ended(job)
    assert status == 0, err
    assert out.startswith("large.tif: ")
    model = FastSAM("starter", device="cpu", image_size=320, tile=600)
    (whole,) = run(Request(data=plane), model)
    assert whole.labels.max() > 500
    np.testing.assert_array_equal(np.load("large.npy"), whole.labels)
    assert not tiles.exists()


def test_an_address_where_no_scheduler_answers_is_told(capsys):
    words = ["segment", "stack.tif", "-o", "v.npy", "--scheduler", "tcp://127.0.0.1:9"]
    assert main(words) == 2
    assert "Expected the address of a dask scheduler" in capsys.readouterr().err
    assert main([*words, "--workers", "2"]) == 2
    assert "either --workers or --scheduler" in capsys.readouterr().err


def test_a_task_holds_no_pixels():
    import pickle

    from napari_fastsam.batch.job import Job
    from napari_fastsam.batch.tasks import Look, Work

    work = Work(
        name="a",
        path=Path("stack.tif"),
        output=Path("v.npy"),
        folder=Path(".v.npy.work"),
        job=Job(),
        provenance={"napari_fastsam": {"version": "1"}},
    )
    assert len(pickle.dumps(Look(work, ((0,), (1,))))) < 4000
