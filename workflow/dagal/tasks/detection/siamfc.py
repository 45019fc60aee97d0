"""SiamFC: a fully-convolutional Siamese network that follows detections (Bertinetto et al. 2016; 003 sec. 2.3.2).

One network embeds the exemplar, the detection with its surroundings, and a search image of twice the side around the place where
it was last; their cross-correlation says for each shift how much it looks like the exemplar. It is trained to tell pairs of crops of
one object from everything else: once for a study, on rendered roads of its own, where no label of the study is used; or, on request,
in every cycle on the frames that are labeled by then.

Smaller than the paper's, as the objects are: exemplars of 48 pixels for 127, four convolutions for AlexNet's five, stride 4 for 8,
responses of 13 x 13 for 17 x 17; pairs up to 12 frames apart for 100.
"""

import time
from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d, softplus

from dagal import pace
from dagal.datasets.rendering import render, roads
from dagal.errors import UserError
from dagal.geometry import iou_matrix
from dagal.learners.checkpoints import Checkpoint
from dagal.learners.devices import send
from dagal.learners.optimizers import check_finite, learning_rate, stepper
from dagal.seeding import generator, seed_for
from dagal.tasks.detection.following import follow, moved, peak, sample

EXEMPLAR, SEARCH = 48, 96  # pixels of the crops, at one scale
STRIDE, RESPONSE = 4, 13  # pixels of the search image from one shift to the next, and shifts per axis
SCALE = 1.0375  # ratio of neighbouring scales
PENALTY, DAMPING = 0.9745, 0.59  # of a change of scale (the authors' settings for three scales)
WINDOW = 0.4  # weight of the cosine window, where the responses of a detection go from 0 to 1 (the authors: .176)
RADIUS = 2  # shifts from the middle that count as the object
APART = 12  # frames between the crops of a pair, at most
SAME = 0.5  # intersection over union above which boxes of labeled frames may be one object
PAIRS = 64  # of a rendered clip
HEIGHT, WIDTH, FRAMES, FPS = 240, 320, 40, 25  # of a rendered clip
BATCH_SIZE = 32
OPTIMIZER, SCHEDULE = {"name": "adam", "lr": 0.002, "weight_decay": 5e-4}, {"name": "cosine"}
CONDITIONS = ("spring", "winter", "fall", "rain", "night")


class Siamese(nn.Module):
    """Responses (B,13,13) of exemplars (B,3,48,48) in search images (B,3,96,96), as logits."""

    def __init__(self):
        super().__init__()

        def convolution(inputs, outputs, kernel, stride):
            return nn.Conv2d(inputs, outputs, kernel, stride, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()

        # without padding, so that a shift of the search image shifts its features, and nothing else
        self.embed = nn.Sequential(
            *convolution(3, 16, 5, 2), *convolution(16, 32, 3, 2), *convolution(32, 32, 3, 1), nn.Conv2d(32, 32, 3)
        )
        self.gain, self.bias = nn.Parameter(torch.tensor(1e-2)), nn.Parameter(torch.zeros(()))

    def respond(self, templates: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Cross-correlation (B,13,13) of embedded exemplars (B,D,6,6) and search images (B,D,18,18)."""
        found = conv2d(features.flatten(0, 1)[None], templates, groups=len(templates))[0]
        return self.gain * found + self.bias

    def forward(self, exemplars, searches):
        return self.respond(self.embed(exemplars), self.embed(searches))


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Images in 0..255 with 0 in the middle, which is what a crop holds outside the image."""
    return images.float() / 64 - 2


def squares(boxes_M_4: torch.Tensor, factor: float) -> torch.Tensor:
    """Windows around boxes: squares of the side sqrt((w + 2p) (h + 2p)), p = (w + h) / 4, times ``factor`` (sec. 2.4 of the paper)."""
    middle, size = (boxes_M_4[:, :2] + boxes_M_4[:, 2:]) / 2, boxes_M_4[:, 2:] - boxes_M_4[:, :2]
    half = (size + size.mean(1, keepdim=True)).prod(1, keepdim=True).sqrt() * factor / 2
    return torch.cat((middle - half, middle + half), 1)


def target() -> torch.Tensor:
    """Which shifts (13,13) show the object: those within `RADIUS` of the middle."""
    place = torch.arange(RESPONSE) - RESPONSE // 2
    return place[:, None].square() + place.square() <= RADIUS**2


def logistic_loss(logits_B_R_R: torch.Tensor, shown_R_R: torch.Tensor) -> torch.Tensor:
    """Mean logistic loss (eq. 1 and 2 of the paper), in which the shifts that show the object weigh as much as all others together."""
    loss = softplus(torch.where(shown_R_R, -logits_B_R_R, logits_B_R_R))
    return (loss[:, shown_R_R].mean() + loss[:, ~shown_R_R].mean()) / 2


def clips(n: int) -> list[render.Clip]:
    """Roads to train on: areas and conditions take turns, nothing is quiet. No data set has them."""
    areas = list(roads.AREAS)
    return [
        render.Clip(
            f"siamfc-{k:03d}", "siamfc", 0, areas[k % len(areas)], CONDITIONS[k % len(CONDITIONS)], (0.3, 0.2, 0.35, 0.1),
            (0.0, 0.0), FRAMES, seed_for(0, "siamfc", k),
        )
        for k in range(n)
    ]  # fmt: skip


def pairs(clip: render.Clip) -> tuple[torch.Tensor, torch.Tensor]:
    """Exemplars (P,3,48,48) and search images (P,3,96,96) uint8 of a clip's objects, the same object in the middle of both."""
    frames = list(render.render(clip, HEIGHT, WIDTH, FPS))
    boxes = [dict(zip(frame.tracks.tolist(), frame.boxes, strict=True)) for frame in frames]
    rng = generator(clip.seed, "pairs")
    seen = [(t, track) for t, here in enumerate(boxes) for track in here]
    chosen = []
    for index in rng.permutation(len(seen))[:PAIRS]:
        t, track = seen[index]
        others = [u for u in range(max(0, t - APART), min(len(frames), t + APART + 1)) if track in boxes[u] and u != t]
        if others:
            chosen.append((t, int(rng.choice(others)), track))
    crops = []
    for which, side in ((0, EXEMPLAR), (1, SEARCH)):
        cut = [torch.empty(0, 3, side, side, dtype=torch.uint8)]
        cut += [crop(frames[one[which]].image, boxes[one[which]][one[2]], side) for one in chosen]
        crops.append(torch.cat(cut))
    return crops[0], crops[1]


def crop(image_H_W_3: np.ndarray, box_4: np.ndarray, side: int) -> torch.Tensor:
    """Exemplar or search image (1,3,side,side) uint8 of a box."""
    image = torch.from_numpy(image_H_W_3).permute(2, 0, 1)[None]
    window = squares(torch.from_numpy(box_4)[None], side / EXEMPLAR)
    found = sample(normalised(image), torch.zeros(1), window, side, 1)
    return (64 * (found + 2)).round().clamp(0, 255).to(torch.uint8)


def same_objects(
    video_L: np.ndarray, frame_L: np.ndarray, offsets: np.ndarray, boxes_M_4: np.ndarray, labels_M: np.ndarray
) -> list[np.ndarray]:
    """Of each labeled box (M), the rows of boxes that are taken to be the same object in other labeled frames.

    Labels say of no box which object it is: in two frames of one video, at most `APART` apart, two boxes of one class are the same object
    if they overlap by more than `SAME`, and each overlaps no other of the class more.
    """
    order, partners = np.lexsort((frame_L, video_L)), [[] for _ in labels_M]
    near = [
        (one, other)
        for k, one in enumerate(order)
        for other in order[k + 1 : k + 1 + APART]  # a frame is there once, so the others are farther
        if video_L[one] == video_L[other] and frame_L[other] - frame_L[one] <= APART
    ]
    for one, other in near:
        here, there = (np.arange(*offsets[which : which + 2]) for which in (one, other))
        shared = iou_matrix(boxes_M_4[here], boxes_M_4[there]) * (labels_M[here][:, None] == labels_M[there])
        for i, j in zip(*np.nonzero(shared > SAME), strict=True):
            if shared[i, j] == shared[i].max() == shared[:, j].max():
                partners[here[i]].append(there[j])
                partners[there[j]].append(here[i])
    return [np.sort(np.array(rows, np.int64)) for rows in partners]


def labeled_pairs(
    images,
    ids_L: np.ndarray,
    offsets: np.ndarray,
    boxes_M_4: np.ndarray,
    partners: list[np.ndarray],
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Exemplars (P,3,48,48) and search images (P,3,96,96) uint8: each labeled box that has partners, with one of them, drawn by chance.

    ``images`` (N,H,W,3) may be on the disk: a frame at a time is read. Raises UserError where there is no pair.
    """
    pairs_P_2 = np.array([(row, rng.choice(found)) for row, found in enumerate(partners) if len(found)]).reshape(-1, 2)
    if not len(pairs_P_2):
        raise UserError(
            f"No object is in two of the {len(ids_L):,} labeled frames within {APART} frames of one video, so there is nothing to train SiamFC "
            "on: label more frames, or set 'video.siamfc.train_on: rendered'."
        )
    frame_M = np.repeat(np.arange(len(ids_L)), np.diff(offsets))
    crops = [torch.empty(len(pairs_P_2), 3, side, side, dtype=torch.uint8) for side in (EXEMPLAR, SEARCH)]
    for frame in np.unique(frame_M[pairs_P_2]):
        image = images[ids_L[frame]]
        for side, cut, row_P in zip((EXEMPLAR, SEARCH), crops, pairs_P_2.T, strict=True):
            for pair in np.flatnonzero(frame_M[row_P] == frame):
                cut[pair] = crop(image, boxes_M_4[row_P[pair]], side)[0]
    return crops[0], crops[1]


def fit(
    exemplars: torch.Tensor,
    searches: torch.Tensor,
    epochs: int,
    device,
    checkpoint: Checkpoint | None = None,
    seed: int = 0,
) -> Siamese:
    """A network trained on pairs of uint8 crops (P,3,48,48) and (P,3,96,96), of which the last of an epoch that fill no batch are left out."""
    torch.manual_seed(seed_for(seed, "siamfc", "train"))
    model = Siamese().to(device)
    shown, state, draws = target().to(device), [], torch.Generator().manual_seed(seed_for(seed, "siamfc", "order"))
    step = stepper(list(model.parameters()), OPTIMIZER, state)
    started, batch_size = time.monotonic(), min(BATCH_SIZE, len(exemplars))
    done = checkpoint.follow(model, state, draws) if checkpoint else 0
    for epoch in range(done, epochs):
        rate, losses = learning_rate(OPTIMIZER, SCHEDULE, epoch, epochs), []
        model.train()
        for batch in torch.randperm(len(exemplars), generator=draws).split(batch_size):
            if len(batch) == batch_size:
                logits = model(*(normalised(send(crops[batch], device)) for crops in (exemplars, searches)))
                loss = logistic_loss(logits, shown)
                loss.backward()
                step(rate)
                losses.append(loss.detach())
        loss = torch.stack(losses).mean().item()
        check_finite([loss], f"epoch {epoch + 1} of {epochs}", "the number of epochs (video.siamfc.epochs)")
        print(
            f"epoch {epoch + 1}/{epochs}  loss {loss:.4f}  "
            + pace.of_epochs(epoch + 1, epochs, started, len(exemplars), done),
            flush=True,
        )
        if checkpoint:
            checkpoint.after(epoch + 1)
    return model.eval()


def describe(images_T_3_H_W, which_M, boxes_M_4, model: Siamese) -> torch.Tensor:
    """Embeddings (M,D,6,6) of detections in the images ``which_M``."""
    return model.embed(sample(images_T_3_H_W, which_M, squares(boxes_M_4, 1), EXEMPLAR, 1))


def step(images_T_3_H_W, which_M, templates_M, boxes_M_4, model: Siamese) -> torch.Tensor:
    """Boxes (M,4) found in the images ``which_M``, looked for around ``boxes_M_4`` at three scales."""
    responses = []
    for scale in (-1, 0, 1):
        search = sample(images_T_3_H_W, which_M, squares(boxes_M_4, SEARCH / EXEMPLAR * SCALE**scale), SEARCH, 1)
        responses.append(model.respond(templates_M, model.embed(search)))
    response = torch.stack(responses, 1)
    low, high = response.amin((1, 2, 3), keepdim=True), response.amax((1, 2, 3), keepdim=True)
    response = (response - low) / (high - low).clamp(min=1e-6)
    response[:, ::2] *= PENALTY
    shift, scale = peak(response, WINDOW)
    window = squares(boxes_M_4, 1)
    pixels = shift * (window[:, 2:] - window[:, :2]) * SCALE ** scale.round()[:, None] * STRIDE / EXEMPLAR
    return moved(boxes_M_4, pixels, SCALE ** (DAMPING * scale))


def track(
    images: Iterable[torch.Tensor],
    model: Siamese,
    frame_M: np.ndarray,
    boxes_M_4: np.ndarray,
    n_frames: int,
    size: tuple[int, int],
) -> np.ndarray:
    """`follow` in uint8 images (3,H,W), by a trained network on their device. About 0.1 GFlop for each detection and frame."""
    steps = (partial(function, model=model) for function in (describe, step))
    return follow(map(normalised, images), frame_M, boxes_M_4, n_frames, size, *steps)
