"""Decides which objects fit which words: CLIP looks at each object once, and words are compared.

References
----------
.. [1] Radford et al. 2021, "Learning transferable visual models from natural language supervision",
   ICML, arXiv 2103.00020.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from napari_fastsam._checks import fail_if
from napari_fastsam.models._clip_names import Named, find, path_of
from napari_fastsam.models._words import BACKGROUND, alike, sentences, tell_cut
from napari_fastsam.models.device import choose_device, describe_device
from napari_fastsam.models.registry import fetch
from napari_fastsam.segmenter import TextSpec
from napari_fastsam.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_fastsam.instances import Instances
    from napari_fastsam.models.clip_runtime import ClipRuntime
    from napari_fastsam.segmenter import Shown, TextMode

SAME_MEANING = 0.97
"""Background words this close (cosine) to what is wanted mean the same, and are left out."""

_PHRASES = 512  # are remembered
_DEFAULTS = TextSpec()


class OpenClip:
    """Compares objects with words by a CLIP of open_clip; any number of threads may call it.

    Parameters
    ----------
    model
        An architecture of open_clip with a plain vision transformer (``"ViT-B-32"``), one with
        the tag of its weights (``"ViT-B-32/datacomp_xl_s13b_b90k"``), or the path of a checkpoint,
        ``.safetensors`` or ``.pt``.
    device
        As `FastSAM` takes it.
    mode
        ``"crops"`` shows each object by itself, ``"dense"`` many in one look.
    background
        Words for what else there is, which wanted words have to describe an object better than;
        empty for a list of common ones.
    download
        Whether to fetch weights that have a name and are not on this machine.

    Raises
    ------
    FileNotFoundError
        If the weights are not there, and `download` is not set.
    DownloadError
        If they cannot be fetched.
    ValueError
        If there is no such device or mode, or there are no such weights.

    Notes
    -----
    Weights are read when something is first asked, and again after `release`. CLIP knows everyday
    things best; try what it makes of special ones before you rely on it.

    Examples
    --------
    >>> import napari_fastsam as fs
    >>> fs.OpenClip("nowhere.safetensors")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    FileNotFoundError: Expected a CLIP, ...
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = _DEFAULTS.model,
        *,
        device: str = "auto",
        mode: TextMode = _DEFAULTS.mode,
        background: Iterable[str] = (),
        download: bool = False,
    ) -> None:
        words = (background,) if isinstance(background, str) else tuple(background)
        name = os.fspath(model)
        self.spec = TextSpec(model=name, device=device, mode=mode, background=words)
        self._device = choose_device(device)
        self._found = find(name)
        if download and isinstance(self._found, Named):
            fetch(self._found.model)
        path_of(self._found)
        self._loading, self._known = threading.Lock(), threading.Lock()
        self._runtime: ClipRuntime | None = None
        self._phrases: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._cut: dict[str, str] = {}
        self._file: tuple[int, int] | None = None  # its state when it was read
        self._scale = 100.0

    @classmethod
    def from_spec(cls, spec: TextSpec) -> OpenClip:
        """Return the scorer that a `TextSpec` describes."""
        return cls(spec.model, device=spec.device, mode=spec.mode, background=spec.background)

    def __repr__(self) -> str:
        return f"<OpenClip {self.description}>"

    @property
    def description(self) -> str:
        """What runs where, as ``"ViT-B-32 · CPU · dense"``."""
        found = self._found
        name = found.model.name if isinstance(found, Named) else found.name
        return f"{name} · {describe_device(self._device)} · {self.spec.mode}"

    def embed(
        self,
        image: Shown,
        candidates: Instances,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        looked: Callable[[int, int], None] = lambda done, total: None,
    ) -> NDArray[np.float32] | None:
        """Return what each object looks like, as vectors (N, D) of length 1; the slow part.

        Parameters
        ----------
        image
            The plane, (H, W, 3), uint8, RGB: an array, or what can be sliced like one, of which
            small parts are read at a time.
        candidates
            N objects on it.
        cancelled
            Asked before each batch; when it says True, ``None`` is returned.
        looked
            Called after each batch with how many objects are done, and their total.

        Raises
        ------
        ValueError
            If the objects are not on a plane of the image's shape.
        CheckpointError
            If the weights are read now, and are none of a CLIP.
        """
        from napari_fastsam.models._looking_at import by_crops, by_windows

        fail_if(
            tuple(image.shape) != (*candidates.shape, 3),
            f"an image of shape {(*candidates.shape, 3)}, where the objects are",
            f"shape {tuple(image.shape)}",
            "pass the RGB image that they were found on, see napari_fastsam.to_rgb",
        )
        runtime = self._loaded()
        vectors = np.zeros((len(candidates), runtime.dimensions), np.float32)
        show = by_crops if self.spec.mode == "crops" else by_windows
        batches, done = show(runtime, image, candidates), 0
        while not cancelled():
            batch = next(batches, None)
            if batch is None:
                return vectors
            vectors[batch.rows] = batch.vectors
            done += len(batch.rows)
            looked(done, len(candidates))
        return None

    def score(self, embeddings: NDArray[np.float32], text: str) -> NDArray[np.float32]:
        """Return (N, W) probabilities in [0, 1] that each wanted phrase describes each object.

        Parameters
        ----------
        embeddings
            (N, D), of `embed`.
        text
            Phrases with ``|`` or ``,`` between them; those that begin with *not* are unwanted.

        Returns
        -------
        NDArray
            A column for each of the W wanted phrases, in order. Each competes with the unwanted
            ones and with the background, not with the other wanted ones.

        Raises
        ------
        ValueError
            If there is nothing in the text that CLIP can read, or if the vectors are those of
            another CLIP.

        Warns
        -----
        UserWarning
            If a phrase is longer than CLIP reads; says what of it was cut.
        """
        wording = Wording.parse(text)
        known = self._vectors([*wording.wanted, *wording.unwanted, *self._background()])
        wanted = np.stack([known[phrase] for phrase in wording.wanted])
        seen = np.asarray(embeddings, np.float32)
        fail_if(
            seen.ndim != 2 or seen.shape[1] != wanted.shape[1],
            f"vectors of {wanted.shape[1]} numbers, as this CLIP's embed returns them",
            f"shape {seen.shape}",
            "embed the objects with the CLIP that the words are for",
        )
        for phrase in (*wording.wanted, *wording.unwanted):
            if phrase in self._cut:
                tell_cut(phrase, self._cut[phrase])
        unwanted = [known[phrase] for phrase in wording.unwanted]
        scores = np.empty((len(seen), len(wanted)), np.float32)
        for column, phrase in enumerate(wording.wanted):
            rivals = np.array([*unwanted, *self._rivals(phrase, known)]).reshape(-1, seen.shape[1])
            margins = self._scale * (seen @ rivals.T - (seen @ wanted[column])[:, None])
            with np.errstate(over="ignore"):
                scores[:, column] = 1 / (1 + np.exp(margins).sum(1))
        return scores

    def release(self) -> None:
        """Give the memory of the weights back; they are read again when they are needed."""
        with self._loading:
            self._runtime = None

    def _background(self) -> tuple[str, ...]:
        return self.spec.background or BACKGROUND

    def _rivals(
        self, phrase: str, known: dict[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Return the vectors of the background words that do not mean what is wanted."""
        return [
            known[word]
            for word in self._background()
            if not alike(word, phrase) and float(known[word] @ known[phrase]) < SAME_MEANING
        ]

    def _vectors(self, phrases: list[str]) -> dict[str, NDArray[np.float32]]:
        """Return what phrases mean, as vectors (D,) of length 1, and read those that are new."""
        with self._known:
            found = {phrase: self._phrases.get(phrase) for phrase in phrases}
        new = [phrase for phrase, vector in found.items() if vector is None]
        read = {phrase: vector for phrase, vector in found.items() if vector is not None}
        if new:
            read |= self._read(new)
        with self._known:
            for phrase in phrases:
                self._phrases[phrase] = read[phrase]
                self._phrases.move_to_end(phrase)
            while len(self._phrases) > _PHRASES:
                self._phrases.popitem(last=False)
        return read

    def _read(self, phrases: list[str]) -> dict[str, NDArray[np.float32]]:
        """Let CLIP read phrases."""
        from napari_fastsam.models._open_clip import tokenizer

        runtime, cutter = self._loaded(), tokenizer()
        told = [sentences(phrase, cutter, runtime.context_length) for phrase in phrases]
        texts = [spoken for spoken, _ in told]
        self._cut |= {phrase: cut for phrase, (_, cut) in zip(phrases, told, strict=True) if cut}
        edges = (cutter.sot_token_id, cutter.eot_token_id)
        vectors = runtime.texts([tokens for spoken in texts for tokens in spoken], edges)
        means = vectors.reshape(len(phrases), -1, vectors.shape[1]).mean(1)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        return dict(zip(phrases, means, strict=True))

    def _loaded(self) -> ClipRuntime:
        """Return the CLIP, which is read where it is needed first."""
        with self._loading:
            if self._runtime is None:
                from napari_fastsam.models._clip_weights import load_clip
                from napari_fastsam.models.clip_runtime import ClipRuntime

                state = path_of(self._found).stat()
                self._runtime = ClipRuntime(load_clip(self._found), self._device)
                self._scale = self._runtime.scale
                file, self._file = self._file, (state.st_mtime_ns, state.st_size)
                if file not in (None, self._file):  # another one by now
                    with self._known:
                        self._phrases.clear()
            return self._runtime
