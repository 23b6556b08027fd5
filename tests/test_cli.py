import inspect
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr
from skimage.data import coins
from typer.testing import CliRunner

from napari_fastsam import cli
from napari_fastsam.cli import app, main
from napari_fastsam.files.readers import read_image
from napari_fastsam.files.writers import write_labels
from napari_fastsam.selection import DEFAULT_CONFIDENCE

SCENE = np.zeros((60, 80), np.uint8)
SCENE[5:15, 5:25] = 200
SCENE[30:50, 40:70] = 250

COMMANDS = ["segment", "demo", "models", "models list", "models fetch", "models convert", "train"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with one image."""
    monkeypatch.chdir(tmp_path)
    PIL.Image.fromarray(SCENE).save("scene.png")
    return tmp_path


@pytest.fixture
def specs(blobs, monkeypatch):
    """What the command line asks to build, while a fake segmenter is built instead."""
    asked = []

    def build(spec):
        asked.append(spec)
        return blobs

    monkeypatch.setattr("napari_fastsam.batch.workers.build", build)
    return asked


def left():
    return sorted(path.name for path in Path().iterdir())


def run_alone(*arguments, **options):
    command = [sys.executable, "-m", "napari_fastsam", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_the_entry_point_is_main():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    module, name = project["scripts"]["napari-fastsam"].split(":")
    assert getattr(sys.modules[module], name) is cli.main


@pytest.mark.parametrize("command", ["", *COMMANDS])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_fits_80_columns(command, flag):
    shown = CliRunner().invoke(app, [*command.split(), flag], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    assert "Usage:" in shown.stdout
    assert all(len(line.rstrip()) <= 80 for line in shown.stdout.splitlines())


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from napari_fastsam.cli import main\n"
        "status = main(['segment', '--help'])\n"
        "heavy = {'torch', 'ultralytics', 'napari', 'scipy', 'skimage', 'zarr', 'tifffile'}\n"
        "print(status, *sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "0"


def test_without_arguments_the_help_is_shown(capsys):
    assert main([]) == 0
    assert "Usage:" in capsys.readouterr().out


def test_the_version_is_printed(capsys):
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"napari-fastsam {version('napari-fastsam')}\n"


def test_options_become_the_model_and_its_confidence(specs):
    words = "--model m.pt --device cpu --runtime onnx --image-size 320 --confidence 0.01"
    assert main(["segment", "scene.png", "-o", "a.tif", *words.split()]) == 0
    (spec,) = specs
    assert (spec.model, spec.device, spec.image_size, spec.confidence) == ("m.pt", "cpu", 320, 0.01)
    assert spec.runtime == "onnx"


def test_the_cores_defaults_are_the_command_lines(specs, capsys):
    from napari_fastsam import ModelSpec

    main(["segment", "scene.png", "-o", "a.tif"])
    assert specs == [ModelSpec()]
    main(["segment", "--help"])
    assert str(DEFAULT_CONFIDENCE) in capsys.readouterr().out


def test_a_table_of_the_objects_is_printed(specs, capsys):
    assert main(["segment", "scene.png", "-o", "labels.tif"]) == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines() if line.split()[:1] in (["1"], ["2"])]
    assert [row[:3] for row in rows] == [["1", "1.00", "200"], ["2", "1.00", "600"]]
    assert rows[0][3:] == ["9.5,", "14.5", "5:15,", "5:25"]
    assert "Labels: labels.tif" in out
    assert err == ""
    np.testing.assert_array_equal(tifffile.imread("labels.tif") > 0, SCENE > 0)


def test_json_is_all_that_is_printed(specs, capsys):
    assert main(["segment", "scene.png", "-o", "labels.npy", "--json"]) == 0
    out, err = capsys.readouterr()
    (image,) = json.loads(out)["images"]
    assert image["objects"][0] == {
        "label": 1,
        "score": 1.0,
        "area": 200,
        "centroid": [9.5, 14.5],
        "bbox": [5, 5, 15, 25],
    }
    assert (image["input"], image["output"], image["shape"]) == (
        "scene.png",
        "labels.npy",
        [60, 80],
    )
    assert err == ""


def test_points_and_boxes_choose(specs, capsys):
    words = "--point 40,50 --point 0,0 --box 4,4,16,26 --background 1,1"
    assert main(["segment", "scene.png", "-o", "labels.npy", *words.split()]) == 0
    labels = np.load("labels.npy")
    assert (labels[40, 50], labels[10, 10]) == (1, 3)
    warning = "napari-fastsam: warning: no object found at point 0,0 in scene.png\n"
    assert capsys.readouterr().err == warning


def test_each_option_of_cleanup_reaches_it(specs):
    words = (
        "--min-area 300 --opening 1 --closing 2 --smoothing 0.5 --fill-holes 3 --largest-piece "
        "--clear-border"
    )
    assert main(["segment", "scene.png", "-o", "a.zarr", "--json", *words.split()]) == 0
    assert zarr.open("a.zarr", mode="r").attrs["napari_fastsam"]["job"]["cleanup"] == {
        "opening": 1,
        "closing": 2,
        "smoothing": 0.5,
        "fill_holes": 3,
        "largest_piece": True,
        "min_area": 300,
        "clear_border": True,
    }
    assert not np.asarray(zarr.open("a.zarr", mode="r"))[5:15, 5:25].any()


def test_a_stack_is_linked_along_the_axes_that_are_named(specs, capsys):
    np.save("stack.npy", np.stack([SCENE] * 3))
    words = ["segment", "stack.npy", "-o", "v.zarr", "--axes", "TYX", "--link", "--json"]
    assert main(words) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert (image["axes"], [found["area"] for found in image["objects"]]) == ("TYX", [600, 1800])


def save_stack(count):
    stack = np.stack([SCENE] * count)
    tifffile.imwrite("stack.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})


@pytest.mark.parametrize(
    ("words", "labelled"),
    [
        ("--planes 1:3", [1, 2]),
        ("--planes ::2", [0, 2, 4]),
        ("--planes 3", [3]),
        ("--planes -1", [4]),
        ("--planes -2:", [3, 4]),
        ("--planes Z=1:4:2", [1, 3]),
    ],
)
def test_planes_are_chosen(specs, words, labelled):
    save_stack(5)
    assert main(["segment", "stack.tif", "-o", "v.npy", *words.split()]) == 0
    assert np.flatnonzero(np.load("v.npy").any((1, 2))).tolist() == labelled


def test_tables_are_written_beside_the_labels(specs):
    save_stack(3)
    assert main(["segment", "stack.tif", "-o", "v.ome.tif", "--link", "--tables"]) == 0
    assert left() == [
        *("scene.png", "stack.tif", "v.csv", "v.lineage.csv", "v.ome.tif", "v.ome.tif.run.jsonl"),
    ]
    assert len(Path("v.csv").read_text().splitlines()) == 3


def test_labels_go_into_an_ome_zarr_and_what_belongs_to_the_run_beside_it(specs):
    save_stack(3)
    image = read_image(Path("stack.tif"))
    write_labels(Path("image.ome.zarr"), image.data[...], image, provenance={})
    words = ["segment", "image.ome.zarr", "-o", "image.ome.zarr/labels/cells", "--link", "--tables"]
    assert main(words) == 0
    assert sorted(path.name for path in Path("image.ome.zarr/labels").iterdir()) == [
        *("cells", "objects", "zarr.json"),
    ]
    assert {"image.cells.csv", "image.cells.lineage.csv", "image.ome.zarr.cells.run.jsonl"} <= {
        *left()
    }
    labels = np.asarray(read_image(Path("image.ome.zarr/labels/cells")).data[...])
    np.testing.assert_array_equal(labels > 0, np.stack([SCENE > 0] * 3))
    assert main(words) == 0
    assert specs == specs[:1]


def test_a_glob_fills_a_folder_with_a_row_for_each_image(specs, capsys):
    Path("in/sub").mkdir(parents=True)
    shutil.copy("scene.png", "in/one.png")
    shutil.copy("scene.png", "in/sub/two.png")
    assert main(["segment", "in/**/*.png", "-o", "out"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[:2] for line in out.splitlines() if ".png" in line] == [
        ["one.png", "2"],
        ["sub/two.png", "2"],
    ]
    assert "2 images, 4 objects: labels in out" in out
    assert Path("out/one.tif").exists()
    assert Path("out/sub/two.tif").exists()


@pytest.mark.parametrize(
    "pattern",
    [pytest.param("plate/**/*.tif", id="glob"), pytest.param("plate", id="folder")],
)
def test_the_same_command_again_leaves_out_its_own_labels(specs, capsys, pattern):
    Path("plate/sub").mkdir(parents=True)
    for name in ("a.tif", "sub/b.tif"):
        tifffile.imwrite(Path("plate", name), SCENE)
    words = ["segment", pattern, "-o", "plate/labels"]
    assert main(words) == 0
    count = len(list(Path("plate/labels").rglob("*.tif")))
    capsys.readouterr()
    assert main(words) == 0
    assert f"{count} image{'s' * (count > 1)} up to date" in capsys.readouterr().out
    assert len(list(Path("plate/labels").rglob("*.tif"))) == count


def test_one_bad_image_among_many_is_reported_at_the_end_with_status_1(specs, capsys):
    Path("in").mkdir()
    tifffile.imwrite("in/a.tif", SCENE)
    Path("in/b.tif").write_bytes(Path("in/a.tif").read_bytes()[:900])
    shutil.copy("scene.png", "in/c.png")
    assert main(["segment", "in", "-o", "out"]) == 1
    out, err = capsys.readouterr()
    assert "2 images" in out
    bad = Path("in/b.tif")
    assert err.startswith(f"napari-fastsam: failed: {bad}: Expected a whole image in {bad}.")
    assert err.count("\n") == 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.tif", "c.tif", "run.jsonl"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param("segment", "Missing argument 'INPUT'", id="nothing"),
        pytest.param("segment scene.png", "Missing option '--output'", id="no output"),
        pytest.param("segment none.tif -o a.tif", "'none.tif', where there is nothing", id="input"),
        pytest.param("segment scene.png -o a.gif", "Got a.gif", id="output format"),
        pytest.param("segment scene.png -o scene.png", "Got scene.png", id="output is a picture"),
        pytest.param("segment . -o a.tif", "a folder as OUTPUT", id="folder into a file"),
        pytest.param("segment scene.png -o a.tif --point 1", "'1'", id="half a point"),
        pytest.param("segment scene.png -o a.tif --point 1,b", "write it as --point", id="letter"),
        pytest.param("segment scene.png -o a.tif --point 1,nan", "not finite", id="nan"),
        pytest.param("segment scene.png -o a.tif --point 99,1", "outside the plane", id="outside"),
        pytest.param("segment scene.png -o a.tif --box 9,9,1,1", "without area", id="empty box"),
        pytest.param("segment . -o .", "choose another folder", id="among the images"),
        pytest.param("segment . -o out --point 1,1", "name one image", id="prompts for many"),
        pytest.param("segment scene.png -o a.tif --confidence 2", "--confidence", id="confidence"),
        pytest.param("segment scene.png -o a.tif --tile x", "--tile auto, off", id="tile"),
        pytest.param("segment scene.png -o a.tif --axes ZYX", "scene.png: Expected", id="axes"),
        pytest.param("segment scene.png -o a.tif --planes a:b", "'a:b'", id="planes"),
        pytest.param("segment scene.png -o a.tif --planes 1:9:0", "a step of 0", id="no step"),
        pytest.param("segment scene.png -o a.tif --planes 0:2", "a stack", id="no planes"),
        pytest.param("segment scene.png -o a.tif --colour", "--colour", id="option"),
        pytest.param("segment scene.png -o scene.png/a.tif", "a folder to write", id="no folder"),
        pytest.param("models fetch nothing", "FastSAM-s", id="unknown model"),
        pytest.param("models convert scene.png -o a.pt", "write a.safetensors", id="convert to"),
        pytest.param("models convert none.pt -o a.safetensors", "none.pt", id="convert what"),
        pytest.param("models convert starter", "--output model.safetensors", id="convert where"),
        pytest.param("models convert starter --to tflite", "'tflite'", id="convert to what"),
        pytest.param("models convert net.onnx -o a.safetensors", "an export", id="convert again"),
        pytest.param("doctor --model none.pt", "no file none.pt", id="doctor of what"),
        pytest.param("models convert starter --to onnx --int8", "--calibrate", id="int8 of onnx"),
        pytest.param(
            "models convert starter --to openvino --int8", "no images", id="int8 without images"
        ),
        pytest.param(
            "models convert starter --to onnx --calibrate scene.png", "--int8", id="no int8"
        ),
        pytest.param("train none none -o a.safetensors", "none", id="no images"),
        pytest.param("paint", "No such command 'paint'", id="command"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2_and_leaves_nothing(specs, capsys, words, said):
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert err.startswith("napari-fastsam: error: ")
    assert err.count("\n") == 1
    assert out == ""
    assert left() == ["scene.png"]


def test_existing_output_is_kept_unless_told_otherwise(specs, capsys):
    Path("a.tif").write_text("mine")
    assert main(["segment", "scene.png", "-o", "a.tif"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert Path("a.tif").read_text() == "mine"
    assert main(["segment", "scene.png", "-o", "a.tif", "--overwrite"]) == 0
    assert tifffile.imread("a.tif").any()


def test_an_error_has_its_traceback_with_debug_wherever_it_stands(specs):
    with pytest.raises(FileNotFoundError):
        main(["--debug", "segment", "none.tif", "-o", "a.tif"])
    with pytest.raises(FileNotFoundError):
        main(["segment", "none.tif", "-o", "a.tif", "--debug"])


def test_a_warning_is_one_line(specs, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["segment", "scene.png", "-o", "a.tif", "--box", "4,4,16,99"]) == 0
    err = capsys.readouterr().err
    assert (
        "napari-fastsam: warning: Boxes that reach outside the plane were clipped to it.\n" in err
    )
    assert "batch.py" not in err


@pytest.mark.parametrize(
    ("error", "said"), [(RuntimeError("CUDA\nerror"), "CUDA error"), (MemoryError(), "MemoryError")]
)
def test_a_failure_of_the_network_is_one_line(monkeypatch, capsys, error, said):
    class Failing:
        def segment(self, image):
            raise error

    monkeypatch.setattr("napari_fastsam.batch.workers.build", lambda spec: Failing())
    assert main(["segment", "scene.png", "-o", "a.tif"]) == 2
    assert capsys.readouterr().err == f"napari-fastsam: error: {said}\n"


def test_models_are_listed_with_what_is_missing(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(tmp_path / "cache"))
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[:2] for line in out.splitlines() if " FastSAM-" in line[:11]] == [
        ["FastSAM-s", "missing"],
        ["FastSAM-x", "missing"],
    ]
    assert "napari-fastsam models fetch NAME" in out
    assert main(["models", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert [row["name"] for row in rows] == ["starter", "FastSAM-s", "FastSAM-x", "ViT-B-32"]


def test_a_model_that_is_not_here_is_not_downloaded_but_explained(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NAPARI_FASTSAM_CACHE", str(tmp_path / "cache"))
    assert main(["segment", "scene.png", "-o", "new/a.tif", "--model", "FastSAM-s"]) == 2
    assert "`napari-fastsam models fetch FastSAM-s`" in capsys.readouterr().err
    assert not (tmp_path / "cache" / "FastSAM-s.pt").exists()
    assert not Path("new").exists()


def test_a_model_is_fetched_by_its_name(monkeypatch, capsys):
    from napari_fastsam.models import registry

    def fetch(name, *, progress):
        progress(1, 2)
        return Path(f"cache/{name}.pt")

    monkeypatch.setattr(registry, "fetch", fetch)
    assert main(["models", "fetch", "FastSAM-s"]) == 0
    assert capsys.readouterr().out == "FastSAM-s: cache/FastSAM-s.pt\n"


def test_a_checkpoint_is_converted_with_the_same_weights(capsys):
    from napari_fastsam.models.checkpoint import load_checkpoint
    from napari_fastsam.models.registry import model_path

    source = model_path("starter")
    assert main(["models", "convert", str(source), "-o", "new.safetensors"]) == 0
    one, other = load_checkpoint(source), load_checkpoint("new.safetensors")
    assert one.state.keys() == other.state.keys()
    assert all(bool((one.state[name] == other.state[name]).all()) for name in one.state)
    assert "new.safetensors" in capsys.readouterr().out
    assert main(["models", "convert", str(source), "-o", "new.safetensors"]) == 2


def test_training_has_the_defaults_of_the_function():
    from napari_fastsam.cli.train import train as command
    from napari_fastsam.models.train import train as function

    wanted = inspect.signature(function).parameters
    given = inspect.signature(command).parameters
    shared = given.keys() & wanted.keys() - {"images", "labels", "output", "photographs"}
    assert {name: given[name].default for name in shared} == {
        name: wanted[name].default for name in shared
    }
    assert wanted.keys() - given.keys() == {"progress", "resume"}


@pytest.fixture
def training(monkeypatch):
    """Replace training by a function that notes what it is told."""
    from napari_fastsam.models import train
    from napari_fastsam.models.run import Progress

    told = {}

    def fake(images, labels, output, *, progress, **options):
        told.update(images=images, labels=labels, output=output, **options)
        progress(Progress(5, 10, 1, 2, 0.5, 0.25))
        if told.get("epochs") == 99:
            raise KeyboardInterrupt
        return train.Report("m.safetensors", 4, 1200, 2, 60.0)

    monkeypatch.setattr(train, "train", fake)
    return told


def test_training_is_told_what_the_options_say_and_its_report_printed(training, capsys):
    words = "--from FastSAM-s --epochs 3 --seed 7 --no-resume --photographs coco"
    assert main(["train", "i", "l", "-o", "m.safetensors", *words.split()]) == 0
    assert (training["images"], training["output"]) == (Path("i"), Path("m.safetensors"))
    assert (training["start"], training["epochs"], training["seed"]) == ("FastSAM-s", 3, 7)
    assert (training["resume"], training["photographs"]) == (False, ["coco"])
    out, err = capsys.readouterr()
    assert out.startswith("m.safetensors: 4 images, 1,200 objects, 2 epochs")
    assert err == "napari-fastsam: progress: epoch 1/2, loss 0.500, validation 0.250\n"


def test_training_reports_in_json(training, capsys):
    assert main(["train", "i", "l", "-o", "m.safetensors", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["objects"] == 1200
    assert err == ""


def test_interrupted_training_says_how_to_go_on(training, capsys):
    assert main(["train", "i", "l", "-o", "m.safetensors", "--epochs", "99"]) == 130
    assert "give the same command again" in capsys.readouterr().err


def test_training_does_not_overwrite_a_model(training, capsys):
    Path("m.safetensors").write_text("mine")
    assert main(["train", "i", "l", "-o", "m.safetensors"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_viewer_opens_in_a_process_of_its_own(specs, monkeypatch, capsys):
    from napari_fastsam.cli import demo

    commands = []

    def run(command):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(demo.subprocess, "run", run)
    assert main(["demo", "--viewer", "-o", "shown"]) == 0
    assert commands == [[sys.executable, "-m", demo.VIEWER_MODULE, "shown"]]
    from importlib.util import find_spec

    assert find_spec(demo.VIEWER_MODULE) is not None


def test_the_demo_speaks_json(specs, capsys):
    assert main(["demo", "--json"]) == 0
    out, err = capsys.readouterr()
    inputs = [Path(image["input"]).name for image in json.loads(out)["images"]]
    assert inputs == ["coins.png", "ihc.png"]
    assert err == ""


def test_the_demo_runs_alone_with_the_model_that_comes_with_the_package(tmp_path):
    done = run_alone("demo")
    assert done.returncode == 0, done.stderr
    assert "coins.png: " in done.stdout
    folder = tmp_path / "napari-fastsam-demo"
    areas = np.bincount(tifffile.imread(folder / "coins_labels.tif").ravel())[1:]
    assert np.count_nonzero((areas > 800) & (areas < 4000)) >= 18  # of 24 coins
    for name in ("coins_overlay.png", "ihc_labels.tif", "ihc_overlay.png"):
        assert (folder / name).exists()
        assert str(Path("napari-fastsam-demo", name)) in done.stdout


def test_a_click_takes_a_coin(tmp_path):
    PIL.Image.fromarray(coins()).save("coins.png")
    done = run_alone("segment", "coins.png", "-o", "coin.npy", "--point", "122,46", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["images"][0]["objects"]
    assert 900 < found["area"] < 1800
    assert done.stderr == ""


def documented():
    folder = Path(__file__).parents[1] / "docs"
    pages = [(folder / name).read_text(encoding="utf-8") for name in ("cli.md", "text.md")]
    blocks = [
        block for page in pages for block in re.findall(r"^```bash\n(.*?)^```", page, re.S | re.M)
    ]
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("command", documented())
def test_the_commands_of_the_pages_run(specs, training, monkeypatch, small_clip, command):
    from napari_fastsam.models import registry

    monkeypatch.setattr(registry, "fetch", lambda name, *, progress: Path(name))
    image = np.kron(SCENE, np.ones((3, 3), np.uint8))
    tifffile.imwrite("cells.tif", image)
    tifffile.imwrite("stack.tif", np.stack([SCENE] * 2), metadata={"axes": "QYX"})
    Path("plate").mkdir()
    PIL.Image.fromarray(SCENE).save("plate/a.png")
    program, *words = shlex.split(command)
    assert program == "napari-fastsam"
    assert main(words) == 0
    if "-o" in words and words[0] == "segment":
        assert Path(words[words.index("-o") + 1]).exists()
