"""Which controls of the dock are remembered, and by which names in the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fastsam._napari.preferences import Kept, by_text, by_value

if TYPE_CHECKING:
    from napari_fastsam._napari.form import Form


def remembered(form: Form) -> dict[str, Kept]:
    """Return how each control is remembered, by its section and name."""
    settings, cleanup = form.settings, form.cleanup
    return {
        "network.model": Kept(form.model, lambda: form.model.value, form.model.choose),
        "network.device": by_text(settings.device),
        "network.runtime": by_text(settings.runtime),
        "network.image_size": by_text(settings.image_size),
        "network.contrast": by_text(settings.contrast),
        "network.closer": by_value(settings.closer),
        "network.prefetch": by_value(settings.prefetch),
        "network.cache_mb": by_value(settings.cache_mb),
        "network.text_model": Kept(
            settings.text_model, lambda: settings.text_model.value, settings.text_model.choose
        ),
        "network.text_mode": by_text(settings.text_mode),
        "labels.existing": by_text(settings.existing),
        "labels.grouping": by_text(form.grouping),
        "labels.linked": by_value(form.linked),
        "labels.planes": by_value(form.ranges),
        "everything.confidence": by_value(form.confidence),
        "everything.min_area": by_value(form.min_area),
        "everything.max_area": by_value(form.max_area),
        "everything.preview": by_value(form.everything_preview),
        "find.words": by_value(form.find.words),
        "find.threshold": by_value(form.find.threshold),
        "find.likeness": by_value(form.find.likeness),
        "find.top_k": by_value(form.find.top_k),
        "find.inside": by_value(form.find.inside),
        **{f"cleanup.{name}": by_value(step) for name, step in cleanup.steps.items()},
        "cleanup.preview": by_value(cleanup.preview),
        "dock.cleanup": by_value(cleanup.native),
        "dock.colours": by_value(form.colours.native),
        "dock.settings": by_value(settings.native),
    }
