"""How CLIP's image side is run: on whole pictures, and on regions of pictures.

open_clip's own layers compute everything; what is done differently from its `VisionTransformer` is
which tokens there are, and which of them see which. Regions get class tokens of their own, which
see the patches of their region and nobody else's, and are seen by nobody.

References
----------
.. [1] Ding et al. 2023, "Open-vocabulary universal image segmentation with MaskCLIP", ICML,
   arXiv 2208.08984.
.. [2] Li et al. 2023, "Scaling language-image pre-training via masking", CVPR, arXiv 2212.00794.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

LEAST_SHARE = 0.5
"""A region does not see patches that it covers less than this, beside the one it covers most."""


class ImageTower:
    """CLIP's vision transformer, in float32 or half precision.

    Parameters
    ----------
    visual
        An ``open_clip.transformer.VisionTransformer`` of plain blocks that pools its class token.
    mean, std
        Of red, green and blue in [0, 1], by which it was trained.
    """

    def __init__(self, visual: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self._visual = visual
        self._blocks = list(visual.transformer.resblocks)
        self._mean, self._std = mean, std
        self.size: int = visual.image_size[0]
        self.grid: int = visual.grid_size[0]
        self.width: int = visual.conv1.out_channels

    def pictures(self, pixels: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return what whole pictures show, as vectors (B, D) of length 1, float32.

        Parameters
        ----------
        pixels
            (B, 3, size, size), uint8.
        seen
            (B, P) bool: which patches, row by row, are looked at; at least one in each picture.
            The others cost nothing.
        """
        tokens = self._tokens(pixels)
        bias = None
        if seen is not None:
            order, empty = _first(seen)
            tokens = torch.cat([tokens[:, :1], _picked(tokens[:, 1:], order)], dim=1)
            if bool(empty.any()):
                bias = tokens.new_zeros(len(tokens), 1, 1, tokens.shape[1])
                bias[:, 0, 0, 1:].masked_fill_(empty, -torch.inf)
        return self._through(tokens, bias, slice(0, 1))[:, 0]

    def regions(self, pixels: Tensor, shares: Tensor) -> Tensor:
        """Return what regions of pictures show, as vectors (B, K, D) of length 1, float32.

        Parameters
        ----------
        pixels
            (B, 3, size, size), uint8.
        shares
            (B, K, P): which share of each patch, row by row, region k of picture b covers. A
            region that covers nothing gets a vector without meaning. Patches that no region
            covers cost nothing, and no patch sees them.
        """
        tokens = self._tokens(pixels)
        order, empty = _first(shares.amax(1) > 0)
        tokens = torch.cat([tokens[:, :1], _picked(tokens[:, 1:], order)], dim=1)
        shares = shares.gather(2, order[:, None].expand(-1, shares.shape[1], -1))
        count, places = shares.shape[1], tokens.shape[1]
        blind = tokens.new_full((len(tokens), 1, places + count, places + count), -torch.inf)
        blind[:, 0, :places, :places] = 0
        blind[:, 0, :places, 1:places].masked_fill_(empty[:, None], -torch.inf)
        relative = shares / shares.amax(2, keepdim=True).clamp_min(1e-6)
        seen = torch.where(relative < LEAST_SHARE, -torch.inf, relative.log())
        blind[:, 0, places:, 1:places] = seen.to(tokens.dtype)
        own = torch.arange(places, places + count, device=tokens.device)
        blind[:, 0, own, own] = 0
        own_tokens = tokens[:, :1].expand(-1, count, -1)
        return self._through(torch.cat([tokens, own_tokens], 1), blind, slice(places, None))

    def _tokens(self, pixels: Tensor) -> Tensor:
        """Return the class token and the patches of pictures, (B, 1 + P, width)."""
        visual = self._visual
        mean = torch.tensor(self._mean, device=pixels.device).view(3, 1, 1)
        std = torch.tensor(self._std, device=pixels.device).view(3, 1, 1)
        scaled = ((pixels.float() / 255 - mean) / std).to(visual.conv1.weight.dtype)
        patches = visual.conv1(scaled).flatten(2).transpose(1, 2)
        first = visual.class_embedding.expand(len(patches), 1, -1)
        places = visual.positional_embedding
        tokens: Tensor = visual.ln_pre(torch.cat([first, patches], 1) + places)
        return tokens

    def _through(self, tokens: Tensor, bias: Tensor | None, wanted: slice) -> Tensor:
        """Return the vectors of the wanted tokens; the last block computes no others."""
        for block in self._blocks[:-1]:
            tokens = _block(block, tokens, tokens, bias)
        last = tokens[:, wanted]
        if bias is not None and bias.shape[2] > 1:
            bias = bias[:, :, wanted]
        last = _block(self._blocks[-1], last, tokens, bias)
        vectors = self._visual.ln_post(last) @ self._visual.proj
        return functional.normalize(vectors.float(), dim=-1)


def _block(block: Any, tokens: Tensor, seen: Tensor, bias: Tensor | None) -> Tensor:
    """Return tokens (B, T, W) after a residual block in which they see others (B, S, W)."""
    attention = block.attn
    heads = attention.num_heads
    if tokens is seen:
        fused = functional.linear(
            block.ln_1(seen), attention.in_proj_weight, attention.in_proj_bias
        )
        query, key, value = fused.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    else:
        width = seen.shape[2]
        weight, offset = attention.in_proj_weight, attention.in_proj_bias
        query = functional.linear(block.ln_1(tokens), weight[:width], offset[:width])
        query = query.unflatten(2, (heads, -1)).transpose(1, 2)
        fused = functional.linear(block.ln_1(seen), weight[width:], offset[width:])
        key, value = fused.unflatten(2, (2, heads, -1)).permute(2, 0, 3, 1, 4)
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    tokens = tokens + block.ls_1(attention.out_proj(mixed.transpose(1, 2).flatten(2)))
    result: Tensor = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
    return result


def _first(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the order (B, C) in which what is seen (B, P) comes first, and what is not (B, C)."""
    count = max(int(seen.sum(1).max()), 1)
    order = seen.byte().argsort(dim=1, descending=True, stable=True)[:, :count]
    return order, ~seen.gather(1, order)


def _picked(tokens: Tensor, order: Tensor) -> Tensor:
    """Return tokens (B, T, W) in another order (B, C)."""
    return tokens.gather(1, order[:, :, None].expand(-1, -1, tokens.shape[2]))
