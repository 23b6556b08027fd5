"""What the tests of batches share: a run of a pattern of images, as the command line begins it."""

from __future__ import annotations

from pathlib import Path

from napari_fastsam.batch import Job, manifest_path, segment_files
from napari_fastsam.files.inputs import find_images
from napari_fastsam.files.outputs import plan_outputs


def segment(pattern, output, segmenter, *, several=False, overwrite=False, workers=None, **asked):
    inputs = find_images([pattern])
    outputs = plan_outputs(inputs, output, several=several, overwrite=True)
    return list(
        segment_files(
            inputs,
            outputs,
            segmenter,
            Job(**asked),
            overwrite=overwrite,
            workers=workers,
            manifest=manifest_path(Path(output), folder=several and outputs[0] != Path(output)),
        )
    )


def kinds(outcomes):
    return [type(outcome) for outcome in outcomes]
