"""How CLIP's text side is run: only as far as the longest text goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence


@torch.inference_mode()
def read(network: Any, texts: Sequence[Sequence[int]], edges: tuple[int, int]) -> torch.Tensor:
    """Return what texts say, as vectors (T, D) of length 1, float32.

    Parameters
    ----------
    network
        An ``open_clip.model.CLIP`` in which no token sees those after it.
    texts
        Tokens of each.
    edges
        The tokens for beginning and end.

    Notes
    -----
    What comes after the end of a text has no part in it, so it is left out: of the 77 tokens that
    open_clip computes, a few words need ten.
    """
    device = network.token_embedding.weight.device
    longest = max(len(tokens) for tokens in texts) + 2
    padded = [[edges[0], *tokens, edges[1]] for tokens in texts]
    rows = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens in padded])
    ends = torch.tensor([len(tokens) - 1 for tokens in padded], device=device)
    x = network.token_embedding(rows.to(device)) + network.positional_embedding[:longest]
    x = network.transformer(x, attn_mask=network.attn_mask[:longest, :longest].to(x.dtype))
    vectors = network.ln_final(x[torch.arange(len(x), device=device), ends])
    return functional.normalize((vectors @ network.text_projection).float(), dim=-1)
