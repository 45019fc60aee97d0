"""Networks of the adversarial acquisitions: a variational autoencoder for images of any size, and a discriminator of its latents."""

import torch
from torch import nn

from dagal.artifacts import Kind
from dagal.learners.classifier import normalise

LATENTS = Kind(
    "latents",
    1,
    {
        "ids": "ids of the training images (n,), ascending",
        "latents": "latents of a VAE trained on all of them without labels (n,D)",
    },
)


class Conditioned(nn.Module):
    """Linear layer of the latent and, if ``conditional``, of one more input, the rank r: the layer of the concatenated (z, r).

    The rank's column of the weights is a parameter of its own, 0 until `draw_rank_columns`: all other weights, and with
    ranks of 0 all outputs, are bit for bit those of the layer without a rank.
    """

    def __init__(self, latent: int, units: int, conditional: bool):
        super().__init__()
        self.linear = nn.Linear(latent, units)
        self.rank = nn.Parameter(torch.zeros(units)) if conditional else None

    def forward(self, latents_B_D, ranks_B):
        outputs = self.linear(latents_B_D)
        return outputs if self.rank is None else outputs + ranks_B[:, None] * self.rank


def draw_rank_columns(module: nn.Module) -> None:
    """Initialise the columns of the rank as the layer's others are; last, so that no other draw moves."""
    for layer in module.modules():
        if isinstance(layer, Conditioned) and layer.rank is not None:
            nn.init.uniform_(layer.rank, -(layer.linear.in_features**-0.5), layer.linear.in_features**-0.5)


class Discriminator(nn.Module):
    """Logit (B,) of "labeled" from latents (B,D) and, if ``conditional``, ranks (B,): ReLU network of ``layers`` linear layers."""

    def __init__(self, latent: int, conditional: bool, layers: int = 5, units: int = 512):
        super().__init__()
        self.first = Conditioned(latent, units if layers > 1 else 1, conditional)
        rest = []
        for layer in range(1, layers):
            rest += [nn.ReLU(), nn.Linear(units, units if layer < layers - 1 else 1)]
        self.rest = nn.Sequential(*rest)

    def forward(self, latents_B_D, ranks_B=None):
        return self.rest(self.first(latents_B_D, ranks_B))[:, 0]


def convolutional(shape: tuple[int, int, int], width: int) -> tuple[nn.Module, int, nn.Module, int]:
    """Encoder, its features, decoder and its inputs, of 4 x 4 convolutions of stride 2 with batch norm (as in VAAL).

    Halved until the shorter side is at most 3 pixels: 32 -> 2 in 4 stages, 224 -> 3 in 6. Channels double from ``width`` up
    to 8 ``width``.
    """
    channels, sides = [shape[0]], [shape[1:]]
    while min(sides[-1]) > 3:
        channels.append(width * min(2 ** (len(channels) - 1), 8))
        sides.append((sides[-1][0] // 2, sides[-1][1] // 2))
    stages = range(1, len(sides))
    encoder, decoder = [], [nn.Unflatten(1, (channels[-1], *sides[-1])), nn.BatchNorm2d(channels[-1]), nn.ReLU()]
    for stage in stages:
        encoder += [
            nn.Conv2d(channels[stage - 1], channels[stage], 4, 2, 1, bias=False),
            nn.BatchNorm2d(channels[stage]), nn.ReLU(),
        ]  # fmt: skip
    for stage in reversed(stages):
        odd = (sides[stage - 1][0] % 2, sides[stage - 1][1] % 2)  # what halving rounded off
        decoder.append(nn.ConvTranspose2d(channels[stage], channels[stage - 1], 4, 2, 1, odd, bias=stage == 1))
        if stage > 1:
            decoder += [nn.BatchNorm2d(channels[stage - 1]), nn.ReLU()]
    size = channels[-1] * sides[-1][0] * sides[-1][1]
    return nn.Sequential(*encoder, nn.Flatten()), size, nn.Sequential(*decoder), size


def fully_connected(shape: tuple[int, int, int], width: int) -> tuple[nn.Module, int, nn.Module, int]:
    """The same for points and images too small to halve: 2-layer networks of ``width`` hidden units (TA-VAAL, sec. 4.1)."""
    size = shape[0] * shape[1] * shape[2]
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.ReLU())
    return encoder, width, nn.Sequential(nn.ReLU(), nn.Linear(width, size), nn.Unflatten(1, shape)), width


class VAE(nn.Module):
    """Variational autoencoder of normalised images (B,C,H,W); its decoder sees the rank too if ``conditional``.

    ``n_classes``: give the encoder a second latent, of the supervised target learner, whose decoder is a linear classifier, or with
    ``dense`` one like that of the images, which gives the classes of all pixels (B,n_classes,H,W) (SRAAL, sec. 3.2); 0 for none.
    """

    def __init__(
        self, shape, latent, conditional, width, channel_mean=None, channel_std=None, n_classes=0, dense=False
    ):
        super().__init__()
        networks = convolutional if min(shape[1:]) >= 8 else fully_connected
        self.encoder, features, self.decoder, inputs = networks(tuple(shape), width)
        self.posterior = nn.Linear(features, 2 * latent)
        self.condition = Conditioned(latent, inputs, conditional)
        self.supervised_posterior = nn.Linear(features, 2 * latent) if n_classes else None
        self.classifier = nn.Linear(latent, n_classes) if n_classes and not dense else None
        if n_classes and dense:
            _, _, decoder, inputs = networks((n_classes, *shape[1:]), width)
            self.classifier = nn.Sequential(nn.Linear(latent, inputs), decoder)
        for name, values, default in (("channel_mean", channel_mean, 0.0), ("channel_std", channel_std, 1.0)):
            values = torch.full((shape[0],), default) if values is None else torch.as_tensor(values)
            self.register_buffer(name, values.float()[:, None, None])

    def normalise(self, images):
        """uint8 images, or features, as the network sees, and reconstructs, them."""
        return normalise(images, self.channel_mean, self.channel_std)

    def encode(self, normalised) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Mean and log variance (B,latent) of the unsupervised posterior, then of the supervised one if there is one."""
        features = self.encoder(normalised)
        heads = [self.posterior] if self.supervised_posterior is None else [self.posterior, self.supervised_posterior]
        return [head(features).chunk(2, 1) for head in heads]

    def decode(self, latents_B_D, ranks_B=None):
        return self.decoder(self.condition(latents_B_D, ranks_B))
