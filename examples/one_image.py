"""Find every coin, then take three of them by a click, a box and a group of clicks."""

from skimage.data import coins

import napari_fastsam as fs

image = coins()
sam = fs.FastSAM("starter")
candidates = sam.segment(image)  # the network runs once; everything below is array look-up
print(f"{sam.description}: {len(candidates)} candidates")

everything = fs.everything(candidates).to_labels()
print(f"everything: {everything.max()} objects")

prompts = fs.Prompts(
    points=[(44, 334), (255, 170), (275, 180), (197, 101)],
    positive=[True, True, True, False],
    group=[-1, 0, 0, 0],  # the first on its own; the others speak of one coin, the last says no
    boxes=[(175, 80, 217, 124)],
    shape=image.shape,
)
selection = fs.select(candidates, prompts)
for question, best in zip(prompts.questions, selection.best, strict=True):
    answer = "no candidate" if best < 0 else f"score {candidates.scores[best]:.2f}"
    print(f"{question.kind} {question.members}: {answer}")

labels = fs.clean(selection.to_labels(), fs.Cleanup(smoothing=1, fill_holes=50))
print(f"{labels.max()} labels, {(labels > 0).sum()} pixels")
