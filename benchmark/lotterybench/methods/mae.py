"""MAE (He et al. 2022): a vision transformer sees a quarter of the patches and paints the rest."""

from typing import cast

import torch
import torch.nn.functional as F
from lightly.models.modules import MaskedVisionTransformerTIMM
from lightly.models.modules.masked_vision_transformer_decoder_timm import (
    MaskedVisionTransformerDecoderTIMM,
)
from lightly.models.utils import get_at_index, normalize_mean_var, patchify, set_at_index
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base.augment import one_view
from lotterybench.methods.base.backbones import dimension, encoder, seeded
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.draws import Draws
from lotterybench.methods.base.plan import in_float32, plan
from lotterybench.methods.base.shape import Learner, Task


def train(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    batch: int = 128,
    masked: float = 0.75,
    depth: int = 1,
    weight_decay: float | None = None,
    smallest: float = 0.2,
) -> Learner:
    """Train a vision transformer without labels; the decoder is thrown away.

    `masked` is the part of patches that the encoder does not see, of which the normalised pixels
    are to be told. The decoder has `depth` blocks as wide as the encoder's. One view, cropped to
    `smallest` of the area at least and mirrored, no colour changes. Optimiser and, unless given,
    weight decay are the backbone's own. Raises `UnknownName` for the backbone and `BadRequest`
    for one that is no vision transformer.
    """
    body = encoder(backbone, task)
    if not isinstance(body, VisionTransformer):
        raise BadRequest(f"mae masks the patches of a vision transformer, which {backbone} is not")
    with seeded(task.stream("head")):
        net = Autoencoder(body, depth)
    net.to(task.device)

    def loss(batch: Batch) -> Tensor:
        images = one_view(batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest)
        kept, hidden = split_patches(batch.draws, net.patches, masked)
        painted = net(images, kept, hidden)
        wanted = normalize_mean_var(get_at_index(patchify(images, net.side), hidden))
        return in_float32(F.mse_loss, painted, wanted)

    return Learner(
        encoder=body,
        net=net,
        loss=loss,
        schedule=plan(backbone, epochs, lr, batch, weight_decay),
        views=1,
    )


def split_patches(draws: Draws, patches: int, masked: float) -> tuple[Tensor, Tensor]:
    """Draw each image's patches to keep and to hide: int64 (n, kept), (n, patches − kept).

    At least one patch is kept and one is hidden.
    """
    kept = min(max(1, round(patches * (1 - masked))), patches - 1)
    order = draws.uniform(0, 1, after=patches).argsort(1)
    return order[:, :kept], order[:, kept:]


class Autoencoder(nn.Module):
    """A vision transformer that encodes some patches, and a small one that paints the others.

    The encoder keeps the start that all methods give it; its class token, if it has one, is never
    hidden. The norm that follows its average pooling stands before the decoder, which would else
    see tokens of any length.
    """

    def __init__(self, body: VisionTransformer, depth: int) -> None:
        super().__init__()
        width, heads = dimension(body), cast(Block, body.blocks[0]).attn.num_heads
        self.patches = body.patch_embed.num_patches
        self.side = body.patch_embed.patch_size[0]
        self.prefix = body.num_prefix_tokens
        self.encoder = MaskedVisionTransformerTIMM(
            body, weight_initialization="skip", pos_embed_initialization="skip"
        )
        self.encoder.mask_token.requires_grad_(False)  # hidden patches are left out instead
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            self.patches, width, depth, heads, num_prefix_tokens=self.prefix
        )
        self.embed = nn.Linear(width, width)
        self.paint = nn.Linear(width, self.side**2 * body.patch_embed.proj.in_channels)

    def forward(self, images: Tensor, kept: Tensor, hidden: Tensor) -> Tensor:
        """Return the pixels of the hidden patches, (n, hidden, side² · C), from the kept ones."""
        count = len(images)
        kept, hidden = kept + self.prefix, hidden + self.prefix
        first = torch.arange(self.prefix, device=kept.device).expand(count, -1)
        kept = torch.cat((first, kept), dim=1)
        seen = self.embed(self.encoder.vit.fc_norm(self.encoder.encode(images, idx_keep=kept)))
        gaps = self.decoder.mask_token.repeat(count, self.prefix + self.patches, 1).to(seen.dtype)
        tokens = self.decoder(set_at_index(gaps, kept, seen))
        painted: Tensor = self.paint(get_at_index(tokens, hidden))
        return painted
