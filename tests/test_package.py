"""What holds for the package as a whole: its names, its layers, its examples, its promises."""

import doctest
import importlib
import pkgutil
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import napari_fastsam

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(napari_fastsam.__path__, "napari_fastsam.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", napari_fastsam.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(napari_fastsam, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = napari_fastsam.nothing_of_the_kind


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, napari_fastsam as fs; fs.Prompts; fs.select; fs.Request\n"
        "heavy = {'torch', 'ultralytics', 'napari', 'qtpy', 'cv2', 'skimage', 'scipy.ndimage'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_each_layer_imports_only_what_lies_below_it():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def python_blocks(page: Path) -> str:
    """Return all Python of a page, one block after the other, its line numbers kept."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        first = text[: block.start(1)].count("\n")
        for n, line in enumerate(block[1].splitlines()):
            lines[first + n] = line
    return "\n".join(lines)


@pytest.mark.parametrize(
    "page",
    [
        page.relative_to(ROOT).as_posix()
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        if "```python" in page.read_text(encoding="utf-8")
    ],
)
@pytest.mark.filterwarnings("ignore:No object found")  # of what the small CLIP has never seen
def test_the_python_of_every_page_runs(page, tmp_path, monkeypatch, small_clip):
    monkeypatch.chdir(tmp_path)
    exec(compile(python_blocks(ROOT / page), page, "exec"), {"__name__": page})


def test_ci_runs_exactly_the_readmes_second_command():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.S | re.M)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    awk = re.search(r"^command=\$\((.*)\)$", script, re.M)[1]
    said = subprocess.run(["bash", "-c", awk], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == blocks[1]
    assert "pytest" in said.stdout


def test_the_wheel_holds_what_is_not_python(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("napari.yaml", "py.typed", "models/starter.safetensors"):
        assert f"napari_fastsam/{name}" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_license_goes_with_the_package():
    from importlib.metadata import metadata

    about = metadata("napari-fastsam")
    assert about["License-Expression"] == "AGPL-3.0-or-later"
    assert "Framework :: napari" in about.get_all("Classifier")


@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_the_examples_run(example, tmp_path, monkeypatch, capsys, small_clip):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / example))
    assert capsys.readouterr().out
