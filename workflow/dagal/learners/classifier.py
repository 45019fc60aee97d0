"""The form of every classifier: normalise, backbone, dropout, linear head."""

import torch
from torch import nn


def standardise(intensities: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Intensities 0..255 (B,C,H,W) of any type as networks see them; mean and std (C,1,1) in 0..1."""
    return (intensities.float() / 255 - mean) / std


def normalise(inputs: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Images of whole intensities standardised; floats, which are features or standardised already, as they are."""
    return inputs if inputs.is_floating_point() else standardise(inputs, mean, std)


class Classifier(nn.Module):
    """Logits of uint8 images (B,C,H,W), or of features (B,D,1,1).

    The backbone gives embeddings (B,D). Dropout stands only before the head, so the T stochastic passes of BALD share one
    pass through the backbone. ``crop``: side of the centre crop that larger images get (training images come cropped by the
    augmentation).
    """

    def __init__(self, backbone, embedding_size, n_classes, dropout, channel_mean, channel_std, crop):
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(embedding_size, n_classes)
        self.loss_prediction = None
        self.crop = crop
        self.register_buffer("channel_mean", torch.as_tensor(channel_mean, dtype=torch.float32)[:, None, None])
        self.register_buffer("channel_std", torch.as_tensor(channel_std, dtype=torch.float32)[:, None, None])

    def embed(self, images):
        if self.crop:
            top, left = (images.shape[2] - self.crop) // 2, (images.shape[3] - self.crop) // 2
            images = images[:, :, top : top + self.crop, left : left + self.crop]
        return self.backbone(normalise(images, self.channel_mean, self.channel_std))

    def forward(self, images):
        return self.head(self.dropout(self.embed(images)))
