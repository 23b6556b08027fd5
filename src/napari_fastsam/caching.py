"""What is known of the planes seen last, so that the network sees each of them once."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_fastsam.closer import Seen


class CandidateCache:
    """What is known of the planes seen last, bounded in bytes; safe to share between threads."""

    def __init__(self, max_bytes: int = 512 << 20) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._planes: OrderedDict[Hashable, Seen] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._planes)

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._planes

    def get(self, key: Hashable) -> Seen | None:
        """Return what is known of a plane, or None if it is not (or no longer) here."""
        with self._lock:
            if key in self._planes:
                self._planes.move_to_end(key)
            return self._planes.get(key)

    def put(self, key: Hashable, seen: Seen) -> None:
        """Keep what is known of a plane; the planes used longest ago leave to make room."""
        with self._lock:
            old = self._planes.pop(key, None)
            self.nbytes += seen.nbytes - (old.nbytes if old is not None else 0)
            self._planes[key] = seen
            while self.nbytes > self.max_bytes and len(self._planes) > 1:
                self.nbytes -= self._planes.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forget every plane."""
        with self._lock:
            self._planes.clear()
            self.nbytes = 0
