"""Choose objects by words, then all that look like one of them, on candidates that are found once.

CLIP's weights are fetched once before: ``napari-fastsam models fetch ViT-B-32``.
"""

from dataclasses import replace

from skimage.data import hubble_deep_field

import napari_fastsam as fs

sky = hubble_deep_field()
sam, clip = fs.FastSAM("starter"), fs.OpenClip("ViT-B-32")
candidates = sam.segment(sky)
candidates = candidates[candidates.scores >= 0.25]  # fainter ones answer no words
looks = fs.Looks.of(clip, sky, candidates)  # the slow line: everything below is array look-up
print(f"{clip.description}: looked at {len(candidates)} candidates")

for text in ("yellow galaxy | blue galaxy", "yellow galaxy, not blue galaxy"):
    prompts = fs.Prompts(text=text, threshold=0.6, top_k=20)
    found = fs.select(candidates, prompts, looks=looks)
    for phrase, likeness in zip(prompts.phrases, found.likeness, strict=True):
        best = f", the best with {likeness[0]:.2f}" if len(likeness) else ""
        print(f"{text!r}: {len(likeness)} answer {phrase!r}{best}")

example = fs.Prompts(points=[(402, 124)], similar=True)
for threshold in (0.7, 0.8, 0.9):
    alike = fs.select(candidates, replace(example, threshold=threshold), looks=looks)
    print(f"{len(alike.answers)} look like the example, with a likeness of {threshold} or more")
