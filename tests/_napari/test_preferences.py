from importlib.resources import files

import napari.settings
import npe2
import pytest
from napari.components import ViewerModel

import napari_fastsam
from napari_fastsam._napari import preferences
from napari_fastsam._napari.form import Form
from napari_fastsam._napari.preferences import PLUGIN

MANIFEST = npe2.PluginManifest.from_file(str(files(napari_fastsam) / "napari.yaml"))
PROPERTIES = {
    f"{section}.{name}": declared
    for section, group in MANIFEST.contributions.configurations.items()
    for name, declared in group.properties.items()
}


@pytest.fixture
def form(qtbot):
    """Make forms on viewers of their own."""

    def make() -> Form:
        made = Form(ViewerModel())
        qtbot.addWidget(made.native)
        return made

    return make


def kept(form, path):
    return form.preferences._kept[path]


def another(declared):
    """Return a value that is not the default."""
    if declared.enum:
        return declared.enum[-1]
    if declared.type == "boolean":
        return not declared.default
    if declared.type == "string":
        return "FastSAM-s"
    return declared.maximum


def test_every_setting_has_its_control_and_starts_alike(form):
    started = form()
    assert {path: kept(started, path).get() for path in started.preferences._kept} == {
        path: declared.default for path, declared in PROPERTIES.items()
    }


def test_every_setting_survives_closing_and_reopening(form, settings_file):
    others = {path: another(declared) for path, declared in PROPERTIES.items()}
    changed = form()
    for path, value in others.items():
        kept(changed, path).put(value)
    napari.settings._clear_plugin_settings_cache()  # as when napari starts again
    assert settings_file.is_file()
    reopened = form()
    assert {path: kept(reopened, path).get() for path in PROPERTIES} == others


def test_controls_and_preferences_have_the_same_limits(form):
    started = form()
    limited = [path for path, declared in PROPERTIES.items() if declared.maximum is not None]
    controls = {path: kept(started, path).control for path in limited}
    assert {path: (control.min, control.max) for path, control in controls.items()} == {
        path: (PROPERTIES[path].minimum, PROPERTIES[path].maximum) for path in limited
    }


def test_controls_and_preferences_have_the_same_choices(form):
    started = form()
    for path, declared in PROPERTIES.items():
        if declared.enum:
            box = kept(started, path).control
            assert {box.get_choice(text) for text in declared.enum} == set(box.choices), path
            assert len(box.choices) == len(declared.enum), path


@pytest.mark.parametrize(
    "line",
    [
        "network: {model: /lost/checkpoint.pt}",
        "network: {model: a file…}",
        "network: {image_size: 7 px}",
        "network: {cache_mb: plenty}",
        "everything: {confidence: 3}",
        "cleanup: {opening: -1}",
        "dock: {settings: perhaps}",
        "nonsense: {no: thing}",
        "not: [valid: yaml",
    ],
)
def test_what_is_not_valid_in_the_file_is_the_default(line, form, settings_file):
    settings_file.write_text(line, encoding="utf-8")
    started = form()
    now = {path: kept(started, path).get() for path in PROPERTIES}
    assert now == {path: declared.default for path, declared in PROPERTIES.items()}


def test_a_checkpoint_of_ones_own_survives(form, tmp_path):
    checkpoint = tmp_path / "mine.pt"
    checkpoint.write_bytes(b"weights")
    form().model.choose(str(checkpoint))
    assert form().model.value == str(checkpoint)


def test_asking_for_a_file_and_choosing_none_is_not_remembered(form, monkeypatch, settings_file):
    monkeypatch.setattr(
        "napari_fastsam._napari.models.QFileDialog.getOpenFileName", lambda *_: ("", "")
    )
    opened = form()
    opened.model.value = opened.model.choices[-1]
    assert napari.settings.get_plugin_settings(PLUGIN).network.model == "starter"


def test_a_slider_is_remembered_in_round_numbers(form, settings_file):
    form().confidence.value = 0.05 + 0.05 * 5
    assert "confidence: 0.3\n" in settings_file.read_text(encoding="utf-8")


def test_changes_in_the_preferences_show_in_every_dock(form):
    docks = form(), form()
    section = napari.settings.get_plugin_settings(PLUGIN).network
    section.update(section.model_dump() | {"image_size": "640 px", "closer": False})
    section.device = "cpu"
    for dock in docks:
        settings = dock.settings.settings
        assert (settings.image_size, settings.closer, settings.device) == (640, False, "cpu")


def test_restoring_the_defaults_shows_in_the_dock(form):
    dock = form()
    dock.cleanup.opening.value = 3
    dock.settings.native.expand()
    napari.settings.get_plugin_settings(PLUGIN).reset()
    assert dock.cleanup.opening.value == 0
    assert not dock.settings.native.value


def test_a_dock_keeps_its_own_values_and_the_last_change_is_remembered(form):
    first, second = form(), form()
    first.confidence.value = 0.5
    second.confidence.value = 0.75
    napari.settings.get_plugin_settings(PLUGIN).everything.min_area = 9
    assert (first.confidence.value, second.confidence.value) == (0.5, 0.75)
    assert (first.min_area.value, second.min_area.value) == (9, 9)
    assert form().confidence.value == 0.75


def test_settings_are_found_again_when_plugins_came_or_went(form, settings_file):
    dock = form()
    napari.settings._clear_plugin_settings_cache()
    dock.cleanup.closing.value = 4
    napari.settings.get_plugin_settings(PLUGIN).cleanup.opening = 2
    assert dock.cleanup.opening.value == 2
    assert "closing: 4" in settings_file.read_text(encoding="utf-8")


def test_a_closed_dock_is_left_alone(form):
    dock = form()
    dock.preferences.close()
    napari.settings.get_plugin_settings(PLUGIN).cleanup.opening = 2
    dock.cleanup.closing.value = 4
    assert dock.cleanup.opening.value == 0
    assert napari.settings.get_plugin_settings(PLUGIN).cleanup.closing == 0


def test_without_a_manifest_nothing_is_remembered(form, monkeypatch, settings_file):
    def unknown(name):
        raise KeyError(name)

    monkeypatch.setattr(preferences, "get_plugin_settings", unknown)
    dock = form()
    dock.confidence.value = 0.5
    assert dock.confidence.value == 0.5
    assert not settings_file.exists()


def test_a_folder_that_cannot_be_written_is_no_error(form, settings_file):
    dock = form()
    settings_file.mkdir()
    dock.confidence.value = 0.5
    assert form().confidence.value == 0.5
