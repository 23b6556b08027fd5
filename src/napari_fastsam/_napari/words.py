"""What the dock widget says: plain text from plain values."""

from __future__ import annotations

from dataclasses import dataclass

NO_IMAGE = "Open an image to begin. File → Open Sample → FastSAM has some."
NO_PROMPTS = (
    "Everything finds all objects. To choose some, press + beside Points, click on them in the "
    "image, then press Segment plane."
)
READY = "Press Segment plane: each point or shape asks for one object."
NOTHING_DRAWN = (
    "Nothing is asked for here. Press + beside Points and click on objects, or press Everything."
)
VOLUME = "This is a 3D view. Switch to 2D (the cube button below the layer list) to segment planes."
LAYER_GONE = "The image or the labels were removed, so the run was stopped."


@dataclass(slots=True)
class Tally:
    """What a run has done so far."""

    planes: int = 0
    new: int = 0
    taken: int = 0
    unanswered: int = 0
    left_out: int = 0

    def sentence(self, *, cancelled: bool = False) -> str:
        """Say what came of it, and how to take it back."""
        parts = [f"Cancelled after {count(self.planes, 'plane')}."] if cancelled else []
        parts.append(f"{count(self.new, 'new object')}.")
        if self.taken:
            parts.append(f"{self.taken} already labelled.")
        if self.unanswered:
            parts.append(
                f"{count(self.unanswered, 'prompt')} found no object: move it onto one, or draw "
                "a box around it."
            )
        if self.left_out:
            parts.append(f"{count(self.left_out, 'prompt')} outside the image.")
        if self.new:
            parts.append("Ctrl+Z on the labels layer takes them back.")
        return " ".join(parts)


def count(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def working(doing: str, done: int, total: int, seconds: float) -> str:
    """Say what is being done, how far it is, and how long it may take."""
    if not total:
        return f"{doing}… {seconds:.0f} s"
    if total > 100_000:  # bytes
        return f"{doing}: {megabytes(done)} of {megabytes(total)}"
    left = f" · {seconds / done * (total - done):.0f} s left" if done else ""
    return f"{doing}: plane {min(done + 1, total)} of {total}{left}"


def details(candidates: int, model: str, seconds: float) -> str:
    """Say what the network found, with what, and how long it took."""
    took = f"{seconds:.1f} s" if seconds else "at hand"
    return f"{count(candidates, 'candidate')} · {model} · {took}"


def not_downloaded(model: str) -> str:
    """Say what to do without a model that the user did not want to download."""
    return f"{model} was not downloaded. Choose another model, as starter, or try again."


def megabytes(size: int) -> str:
    """Return a number of bytes as people say it."""
    return f"{size / 1e6:.0f} MB"
