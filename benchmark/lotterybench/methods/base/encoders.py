"""Trained encoders as safetensors files that timm loads."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from lotterybench.storage import staged


def save_encoder(encoder: nn.Module, path: Path, about: dict[str, str]) -> None:
    """Write an encoder's weights under the names that its timm class gives them.

    `timm.models.load_checkpoint(model, path)` reads them; `about` goes into the file's header.
    """
    weights = {
        name: value.detach().to("cpu", memory_format=torch.contiguous_format).clone()
        for name, value in encoder.state_dict().items()
    }
    with staged(path) as draft:
        save_file(weights, draft, about)
