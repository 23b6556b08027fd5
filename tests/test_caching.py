import numpy as np

from napari_fastsam import CandidateCache, Instances
from napari_fastsam.closer import Seen


def test_the_cache_forgets_what_was_used_longest_ago():
    seen = Seen(Instances.from_labels(np.ones((10, 10), int)), 0)
    cache = CandidateCache(max_bytes=2 * seen.nbytes)
    cache.put("a", seen)
    cache.put("b", seen)
    assert cache.get("a") is seen
    cache.put("c", seen)
    assert cache.get("b") is None
    assert cache.get("a") is cache.get("c") is seen
    assert cache.nbytes == 2 * seen.nbytes


def test_a_plane_put_twice_counts_once_and_clear_forgets_all():
    seen = Seen(Instances.from_labels(np.ones((10, 10), int)), 0)
    cache = CandidateCache()
    cache.put("a", seen)
    cache.put("a", seen)
    assert (len(cache), cache.nbytes) == (1, seen.nbytes)
    cache.clear()
    assert (len(cache), cache.nbytes, cache.get("a")) == (0, 0, None)


def test_a_plane_larger_than_the_cache_is_kept_until_the_next():
    seen = Seen(Instances.from_labels(np.ones((10, 10), int)), 0)
    cache = CandidateCache(max_bytes=1)
    cache.put("a", seen)
    assert cache.get("a") is seen
    cache.put("b", seen)
    assert cache.get("a") is None
