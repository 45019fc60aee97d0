"""VAAL, TA-VAAL and SRAAL: losses by hand, networks for every image size, and what the discriminator finds in planted pools."""

import math

import numpy as np
import pytest
import torch

from dagal.errors import UserError
from dagal.learners import adversary
from dagal.learners.adversary import build, discriminate, latents, objective, relabeled, train
from dagal.learners.vae import VAE, Discriminator, draw_rank_columns
from dagal.seeding import seed_for

CPU = torch.device("cpu")
SETTINGS = {
    "kind": "vaal",
    "latent": 8,
    "reduction": "sum",
    "beta": 1.0,
    "weight": 1.0,
    "ranks": "last",
    "discriminator_rank": "normalised",
    "steps": 120,
    "batch_size": 32,
    "lr": 2e-3,
    "vae_steps": 1,
    "discriminator_steps": 1,
    "channels": 8,
    "discriminator_layers": 5,
    "discriminator_units": 32,
    "unsupervised_weight": 1.0,
    "supervised_weight": 1.0,
    "supervised_beta": 0.01,
    "indicator": "sraal",
}


pytestmark = pytest.mark.usefixtures("one_thread")


def two_patterns(is_bright, seed, shape=(1, 8, 8)):
    """Noisy dark images, and images with a bright square in a corner."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 80, (len(is_bright), *shape), generator=generator)
    images[torch.as_tensor(is_bright), :, : shape[1] // 2, : shape[2] // 2] += 150
    return images.to(torch.uint8)


def auc(score, positive):
    """Share of the (positive, negative) pairs in which the positive scores higher."""
    above, below = score[positive][:, None], score[~positive]
    return (above > below).mean() + (above == below).mean() / 2


def run(images_L, images_U, seed=0, scored=None, ranks=None, **changes):
    """D of ``scored`` (the unlabeled pool), the networks and the history."""
    ours = {"labels_L", "ranks_L", "ranks_U", "probs_U", "conditional"} & set(changes)
    data = {name: changes.pop(name) for name in ours}
    ranks_L, ranks_U = data.pop("ranks_L", None), data.pop("ranks_U", None)
    if ranks_L is not None:  # of decoder and discriminator alike
        data["ranks"] = [tuple(torch.tensor(np.stack([r, r]), dtype=torch.float32) for r in (ranks_L, ranks_U))]
    data["channel_mean"] = (images_U / 255).mean((0, 2, 3))
    data["channel_std"] = (images_U / 255).std((0, 2, 3))
    networks, history = train(images_L, images_U, SETTINGS | changes, seed, CPU, **data)
    scored = images_U if scored is None else scored
    return discriminate(networks, scored.split(100), ranks_U if ranks is None else ranks), networks, history


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_reconstruction_by_hand():
    images, output = torch.zeros(2, 1, 1, 2), torch.tensor([[[[1.0, 2.0]]], [[[0.0, 3.0]]]])
    assert adversary.reconstruction_loss(output, images).item() == pytest.approx((5 / 2 + 9 / 2) / 2)


def test_kl_by_hand_and_against_torch():
    mean, log_variance = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 0.0], [math.log(4.0), 0.0]])
    expected = (0.5 + (4 - 1 - math.log(4)) / 2 + 2) / 2
    assert adversary.kl_divergence(mean, log_variance).item() == pytest.approx(expected, rel=1e-6)
    normal = torch.distributions.Normal
    reference = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0))
    assert adversary.kl_divergence(mean, log_variance).item() == pytest.approx(reference.sum(1).mean().item(), rel=1e-6)


def test_what_a_discriminator_tells_apart_by_brute_force():
    rng = np.random.default_rng(0)
    of_labeled, of_unlabeled = (rng.integers(0, 8, size).astype(np.float32) / 8 for size in (30, 70))  # with ties
    expected = np.mean([(a > b) + (a == b) / 2 for a in of_labeled for b in of_unlabeled])
    assert adversary.told_apart(of_labeled, of_unlabeled) == pytest.approx(expected)
    assert adversary.told_apart(of_unlabeled + 1, of_unlabeled) == 1
    assert adversary.told_apart(np.ones(3), np.ones(5)) == 0.5
    assert np.isnan(adversary.told_apart(np.array([np.nan]), of_unlabeled))


def test_adversarial_loss_makes_both_pools_look_labeled():
    logit_L, logit_U = torch.tensor([2.0, -1.0], requires_grad=True), torch.tensor([0.5, -3.0], requires_grad=True)
    value = adversary.adversarial_loss(logit_L, logit_U)
    expected = -(math.log(sigmoid(2)) + math.log(sigmoid(-1)) + math.log(sigmoid(0.5)) + math.log(sigmoid(-3))) / 2
    assert value.item() == pytest.approx(expected, rel=1e-6)
    value.backward()
    assert (logit_L.grad < 0).all() and (logit_U.grad < 0).all()  # a step down raises D of both


def test_discriminator_learns_labeled_1_unlabeled_0():
    logit_L, logit_U = torch.tensor([2.0, -1.0], requires_grad=True), torch.tensor([0.5, -3.0], requires_grad=True)
    value = adversary.discriminator_loss(logit_L, logit_U, torch.zeros(2))
    labeled = -(math.log(sigmoid(2)) + math.log(sigmoid(-1))) / 2
    unlabeled = -(math.log(1 - sigmoid(0.5)) + math.log(1 - sigmoid(-3))) / 2
    assert value.item() == pytest.approx(labeled + unlabeled, rel=1e-6)
    value.backward()
    assert (logit_L.grad < 0).all() and (logit_U.grad > 0).all()


def test_discriminator_learns_the_relabeled_states():
    """At a target the gradient is 0 exactly where D is the target."""
    logit_U = torch.tensor([0.0, 0.0, 0.0], requires_grad=True)
    adversary.discriminator_loss(torch.zeros(3), logit_U, torch.tensor([0.25, 0.5, 1.0])).backward()
    np.testing.assert_allclose(logit_U.grad, [0.25 / 3, 0, -0.5 / 3], atol=1e-7)


def test_states_are_0_for_the_uncertain_and_1_for_the_certain():
    probs = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4], np.float32)
    np.testing.assert_allclose(relabeled(probs, "sraal"), [1, 1 / 6, 0.25], rtol=1e-6)
    np.testing.assert_allclose(relabeled(probs, "least_confidence"), [1, 0.5, 0.25], rtol=1e-6)
    assert relabeled(probs, "binary").tolist() == [0, 0, 0]  # VAAL's


def told_apart(reduction, weight):
    """AUC of D of labeled images against unlabeled ones, where the bright ones are rarer among the labeled."""
    rng = np.random.default_rng(0)
    images_L, images_U = two_patterns(rng.random(200) < 0.15, 1), two_patterns(rng.random(600) < 0.5, 2)
    both, labeled = torch.cat([images_L, images_U]), np.arange(800) < 200
    of_both, *_ = run(images_L, images_U, scored=both, steps=300, reduction=reduction, weight=weight)
    return auc(of_both, labeled)


def test_lambda_decides_what_the_discriminator_can_tell_apart():
    """Of means; a lambda of 1 of sums, against the sum of 64 squared errors, changes nothing."""
    assert abs(told_apart("sum", 1.0) - told_apart("sum", 0.0)) < 0.02
    assert told_apart("mean", 1.0) < 0.6 < told_apart("mean", 0.0)


def test_objective_by_hand():
    losses = {"reconstruction": 100.0, "kl": 10.0, "adversarial": 1.0}
    settings = {
        "kind": "vaal",
        "reduction": "sum",
        "latent": 5,
        "beta": 2.0,
        "weight": 3.0,
        "unsupervised_weight": 0.5,
        "supervised_weight": 7.0,
        "supervised_beta": 4.0,
    }
    assert objective(losses, settings, 50) == 100 + 20 + 3
    assert objective(losses, settings | {"kind": "ta_vaal"}, 50) == 100 + 20 + 3
    # a mean squared error of 2 x 100 / 50 = 4, and 10 / 5 = 2 nats per dimension
    assert objective(losses, settings | {"reduction": "mean"}, 50) == 4 + 2 * 2 + 3
    sraal = settings | {"kind": "sraal"}
    assert objective(losses | {"supervised": 5.0, "supervised_kl": 0.25}, sraal, 50) == 0.5 * 120 + 7 * 6 + 3
    assert objective(losses, sraal | {"supervised_weight": 0.0}, 50) == 0.5 * 120 + 3


def test_the_first_half_of_a_batch_is_the_labeled_one():
    """Terms of one batch, against the losses of the two pools by themselves in evaluation mode."""
    torch.manual_seed(0)
    networks = build(SETTINGS | {"kind": "sraal"}, (1, 8, 8), n_classes=3).eval()
    images = networks.vae.normalise(two_patterns([False] * 4 + [True] * 4, 0))
    labels = torch.tensor([0, 1, 2, 0])
    streams = {name: torch.Generator().manual_seed(0) for name in ("noise", "supervised noise")}
    losses, seen = adversary.vae_losses(networks, images, (None, None), labels, streams)
    noise, supervised_noise = (torch.randn(n, 8, generator=torch.Generator().manual_seed(0)) for n in (8, 4))
    (mean, log_variance), (mean_s, log_variance_s) = networks.vae.encode(images)
    output = networks.vae.decode(mean + log_variance.exp().sqrt() * noise)
    squared = (output - images).square().sum((1, 2, 3)) / 2
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (log_variance / 2).exp()), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    assert losses["reconstruction"].item() == pytest.approx((squared[:4].mean() + squared[4:].mean()).item(), rel=1e-5)
    assert losses["kl"].item() == pytest.approx((kl[:4].mean() + kl[4:].mean()).item(), rel=1e-5)
    logits = networks.vae.classifier(mean_s[:4] + log_variance_s[:4].exp().sqrt() * supervised_noise)
    expected = -torch.log_softmax(logits, 1)[range(4), labels].mean()
    assert losses["supervised"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert losses["supervised_kl"].item() == pytest.approx(
        adversary.kl_divergence(mean_s[:4], log_variance_s[:4]).item(), rel=1e-6
    )
    assert torch.equal(seen, torch.cat([mean, mean_s], 1))


@pytest.mark.parametrize(
    ("shape", "sides", "batch"),
    [
        ((1, 8, 8), 2, 4),
        ((1, 28, 28), 3, 4),
        ((3, 32, 32), 2, 4),
        ((3, 64, 64), 2, 2),
        ((3, 45, 80), 2, 2),
        ((3, 224, 224), 3, 1),
        ((2, 1, 1), None, 4),
        ((1, 1, 2), None, 4),
        ((3, 5, 7), None, 4),
    ],
)
@pytest.mark.parametrize("conditional", [False, True])
def test_shapes(shape, sides, batch, conditional):
    vae = VAE(shape, 6, conditional, 4, np.full(shape[0], 0.3), np.full(shape[0], 0.2), n_classes=5).eval()
    images = torch.randint(0, 256, (batch, *shape)).to(torch.uint8)
    normalised = vae.normalise(images)
    np.testing.assert_allclose(normalised, (images.numpy() / 255 - 0.3) / 0.2, atol=1e-5)
    with torch.no_grad():
        posteriors = vae.encode(normalised)
        assert [part.shape for posterior in posteriors for part in posterior] == [(batch, 6)] * 4
        assert vae.decode(posteriors[0][0], torch.rand(batch) if conditional else None).shape == (batch, *shape)
    assert len(VAE(shape, 6, conditional, 4).encode(normalised)) == 1
    if sides:
        convolutions = [module for module in vae.encoder if isinstance(module, torch.nn.Conv2d)]
        assert min(shape[1:]) // 2 ** len(convolutions) == sides
        assert [c.out_channels for c in convolutions] == [4, 8, 16, 32, 32, 32][: len(convolutions)]
    else:
        assert not any(isinstance(module, (torch.nn.Conv2d, torch.nn.BatchNorm2d)) for module in vae.modules())


def test_cifar_encoder_is_vaals():
    """3 -> 128 -> 256 -> 512 -> 1024 channels at 32, 16, 8, 4, 2 pixels."""
    vae = VAE((3, 32, 32), 64, False, 128)
    convolutions = [tuple(m.weight.shape) for m in vae.encoder if isinstance(m, torch.nn.Conv2d)]
    assert convolutions == [(128, 3, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1024, 512, 4, 4)]


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_discriminator_has_the_stated_layers(layers, conditional):
    network = Discriminator(6, conditional, layers, 10)
    assert sum(isinstance(module, torch.nn.Linear) for module in network.modules()) == layers
    assert network(torch.randn(3, 6), torch.rand(3)).shape == (3,)


def test_the_rank_is_one_more_input_of_the_first_layer():
    torch.manual_seed(0)
    network = Discriminator(6, True, 2, 10)
    draw_rank_columns(network)
    z, r = torch.randn(4, 6), torch.rand(4)
    joined = torch.nn.Linear(7, 10)
    joined.weight.data = torch.cat([network.first.linear.weight, network.first.rank[:, None]], 1)
    joined.bias.data = network.first.linear.bias
    expected = network.rest(joined(torch.cat([z, r[:, None]], 1)))[:, 0]
    torch.testing.assert_close(network(z, r), expected)
    assert network.first.rank.abs().max() <= 6**-0.5 and network.first.rank.unique().numel() == 10


def test_ranks_by_hand():
    """Through a sigmoid for both, or as they are for the discriminator alone."""
    predicted = np.array([0.0, -2.0, 30.0], np.float32)
    normalised = [0.5, sigmoid(-2), sigmoid(30)]
    np.testing.assert_allclose(adversary.ranks_of(predicted, SETTINGS), [normalised] * 2, rtol=1e-6)
    raw = adversary.ranks_of(predicted, SETTINGS | {"discriminator_rank": "raw"})
    np.testing.assert_allclose(raw, [normalised, predicted], rtol=1e-6)


def test_decoder_and_discriminator_see_each_its_own_rank():
    torch.manual_seed(0)
    networks = build(SETTINGS | {"kind": "ta_vaal"}, (1, 8, 8)).eval()
    images, ranks = networks.vae.normalise(two_patterns([False, True], 0)), torch.tensor([[0.2, 0.9], [-5.0, 3.0]])
    losses, mean = adversary.vae_losses(networks, images, ranks, None, {"noise": torch.Generator().manual_seed(0)})
    _, log_variance = networks.vae.encode(images)[0]
    noise = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    output = networks.vae.decode(mean + log_variance.exp().sqrt() * noise, ranks[0])
    squared = (output - images).square().sum((1, 2, 3)) / 2
    assert losses["reconstruction"].item() == pytest.approx(squared.sum().item(), rel=1e-5)
    d = torch.sigmoid(networks.discriminator(mean, ranks[1]))
    assert losses["adversarial"].item() == pytest.approx(-torch.log(d).sum().item(), rel=1e-5)


def test_the_steps_of_joint_training_take_the_ranks_of_the_epochs_in_turn(monkeypatch):
    """Algorithm 1 of TA-VAAL: epoch n has the ranks after epoch n - 1, the first one random ones; 10 steps for 4 epochs."""
    epochs = [(f"L{epoch}", f"U{epoch}") for epoch in (1, 2, 3, 4)]
    assert adversary.ranks_of_steps("joint", epochs[-1], epochs) == [None, *epochs[:3]]
    assert adversary.ranks_of_steps("last", epochs[-1], []) == [epochs[-1]]
    assert adversary.ranks_of_steps("random", epochs[-1], []) == [None]
    seen, real = [], adversary.vae_losses
    monkeypatch.setattr(
        adversary, "vae_losses", lambda a, i, ranks, *rest: seen.append(ranks) or real(a, i, ranks, *rest)
    )
    pairs = [(torch.full((2, 20), float(e)), torch.full((2, 90), -float(e))) for e in (1, 2, 3, 4)]
    settings = SETTINGS | SHORT | {"kind": "ta_vaal", "steps": 10}
    train(*POOLS, settings, 0, CPU, ranks=adversary.ranks_of_steps("joint", pairs[-1], pairs))
    random, given = torch.stack(seen[:3]), torch.stack(seen[3:])
    assert random.shape == (3, 2, 32) and (random >= 0).all() and (random <= 1).all() and len(random.unique()) == 96
    assert torch.equal(random[:, 0], random[:, 1])
    expected = torch.tensor([1.0, 1, 2, 2, 2, 3, 3])[:, None, None].expand(7, 2, 16)
    assert torch.equal(given, torch.cat([expected, -expected], 2))


def test_vaal_finds_the_images_unlike_the_labeled_ones():
    is_far = np.arange(400) % 2 == 0
    d, networks, history = run(two_patterns([False] * 100, 1), images_U := two_patterns(is_far, 2))
    assert auc(-d, is_far) > 0.9  # the smallest D are the query
    labeled = discriminate(networks, [two_patterns([False] * 100, 1)])
    assert labeled.mean() > d[is_far].mean() + 0.2
    assert d.dtype == np.float32 and d.shape == (400,) and (d >= 0).all() and (d <= 1).all()
    assert latents(networks, images_U.split(90)).shape == (400, 8)
    assert history["reconstruction"][-1] < history["reconstruction"][0]


def test_vaal_finds_the_points_unlike_the_labeled_ones():
    """Points of a plane with networks of 2 layers, the toy of TA-VAAL."""
    rng = np.random.default_rng(0)
    is_far = np.arange(300) % 3 == 0

    def points(is_far):
        centers = np.where(np.asarray(is_far)[:, None], [200, 60], [60, 180])
        return torch.from_numpy((centers + rng.normal(0, 15, centers.shape)).clip(0, 255).astype(np.uint8))[
            :, :, None, None
        ]

    toy = {"discriminator_layers": 2, "latent": 2, "lr": 0.01, "channels": 32, "beta": 0.1}
    d, _, _ = run(points([False] * 40), points(is_far), **toy)
    assert auc(-d, is_far) > 0.9


def test_ta_vaal_finds_the_ranks_unlike_the_labeled_ones():
    """Images alike; labeled ones have low predicted losses."""
    rng = np.random.default_rng(0)
    images_L, images_U = two_patterns([False] * 100, 1), two_patterns([False] * 400, 2)
    ranks_L, ranks_U = rng.uniform(0, 0.4, 100), rng.uniform(0, 1, 400)
    d, networks, _ = run(images_L, images_U, kind="ta_vaal", ranks_L=ranks_L, ranks_U=ranks_U)
    assert auc(-d, ranks_U > 0.4) > 0.9
    swapped = discriminate(networks, [images_U], ranks_U[::-1].copy())
    assert auc(-swapped, ranks_U[::-1] > 0.4) > 0.9


def test_sraal_finds_the_uncertain_images():
    """Both patterns are labeled alike; the learner is unsure of one of them."""
    is_bright_L, is_bright_U = np.arange(100) % 2 == 0, np.arange(400) % 2 == 0
    images_L, images_U = two_patterns(is_bright_L, 1), two_patterns(is_bright_U, 2)
    probs_U = np.where(is_bright_U[:, None], [0.4, 0.3, 0.3], [0.98, 0.01, 0.01])
    given = {"kind": "sraal", "labels_L": torch.from_numpy(is_bright_L.astype(np.int64)), "probs_U": probs_U}
    d, networks, history = run(images_L, images_U, **given)
    assert auc(-d, is_bright_U) > 0.9
    assert latents(networks, [images_U]).shape == (400, 16)
    assert history["supervised"][-1] < 0.5 * history["supervised"][0]
    assert d[is_bright_U].mean() < d[~is_bright_U].mean() - 0.1
    plain, _, _ = run(images_L, images_U, **given, indicator="binary")  # nothing to tell the patterns apart by
    assert abs(plain[is_bright_U].mean() - plain[~is_bright_U].mean()) < 0.1
    _, _, collapsed = run(images_L, images_U, **given, supervised_beta=1.0)
    assert collapsed["supervised"][-1] > 0.6 and collapsed["supervised_kl"][-1] < 0.3  # of log 2: see `objective`


def test_sraal_learns_masks():
    """A class for every pixel, that of the bright square, with a row without class; the learner is unsure of one pattern."""
    is_bright_L, is_bright_U = np.arange(60) % 2 == 0, np.arange(200) % 2 == 0
    images_L, images_U = two_patterns(is_bright_L, 1), two_patterns(is_bright_U, 2)
    masks = torch.zeros(60, 8, 8, dtype=torch.uint8)
    masks[torch.as_tensor(is_bright_L), :4, :4] = 1
    masks[:, 7] = 255
    probs_U = np.where(is_bright_U[:, None], [0.4, 0.6], [0.99, 0.01])
    d, networks, history = run(images_L, images_U, kind="sraal", labels_L=masks, probs_U=probs_U, latent=4)
    assert auc(-d, is_bright_U) > 0.9
    assert history["supervised"][0] > 0.5 and history["supervised"][-1] < 0.15
    mean = networks.vae.encode(networks.vae.normalise(images_L))[1][0]
    with torch.no_grad():
        bright = torch.softmax(networks.vae.classifier(mean[:10]), 1)[:, 1]
    assert bright.shape == (10, 8, 8)
    known = masks[:10] != 255
    assert auc(bright[known].numpy(), (masks[:10][known] == 1).numpy()) > 0.95


def test_supervised_loss_of_masks_by_hand():
    logits = torch.tensor([[[[0.0, 2.0]], [[0.0, 0.0]]], [[[1.0, 5.0]], [[0.0, 0.0]]]])  # (2, classes, 1, 2)
    masks = torch.tensor([[[0, 1]], [[0, 255]]], dtype=torch.uint8)
    first = (math.log(2) + math.log(1 + math.exp(2))) / 2
    expected = (first + math.log(1 + math.exp(-1))) / 2
    assert adversary.supervised_loss(logits, masks).item() == pytest.approx(expected, rel=1e-6)
    classes = adversary.supervised_loss(torch.tensor([[0.0, 1.0]]), torch.tensor([1])).item()
    assert classes == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)


def assert_same(a, b):
    """Bitwise equality of the scores, the histories, and the parameters that both networks have."""
    states = a[1].state_dict(), b[1].state_dict()
    assert a[0].tobytes() == b[0].tobytes() and a[2] == b[2]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0].keys() & states[1].keys())


POOLS = two_patterns([False] * 20, 1), two_patterns(np.arange(90) % 2 == 0, 2)
SHORT = {"steps": 12, "batch_size": 16}


def test_ta_vaal_without_ranks_is_vaal():
    """Bit for bit: with the rank's inputs removed, and with the inputs there but all 0."""
    vaal = run(*POOLS, **SHORT)
    assert_same(vaal, run(*POOLS, **SHORT, kind="ta_vaal", conditional=False))
    zeros = {"ranks_L": np.zeros(20), "ranks_U": np.zeros(90)}
    ranked = run(*POOLS, **SHORT, kind="ta_vaal", **zeros)
    assert_same(vaal, ranked)
    assert ranked[1].discriminator.first.rank.any()
    rng = np.random.default_rng(0)
    other = run(*POOLS, **SHORT, kind="ta_vaal", ranks_L=rng.random(20), ranks_U=rng.random(90))
    assert other[0].tobytes() != vaal[0].tobytes()


def test_sraal_without_its_two_parts_is_vaal():
    vaal = run(*POOLS, **SHORT)
    given = {"labels_L": np.arange(20) % 3, "probs_U": np.full((90, 3), 1 / 3)}
    assert_same(vaal, run(*POOLS, **SHORT, **given, kind="sraal", supervised_weight=0.0, indicator="binary"))
    assert run(*POOLS, **SHORT, **given, kind="sraal", supervised_weight=0.0)[0].tobytes() != vaal[0].tobytes()


@pytest.mark.parametrize("kind", ["vaal", "ta_vaal", "sraal"])
def test_the_seed_decides(kind):
    rng = np.random.default_rng(0)
    given = {"labels_L": rng.integers(0, 3, 20), "probs_U": rng.dirichlet([1, 1, 1], 90)}
    settings = SHORT | {"kind": kind, "vae_steps": 2, "discriminator_steps": 2}
    first = run(*POOLS, **settings, **given)
    torch.manual_seed(99)  # the state of the process does not matter
    torch.randn(5)
    assert_same(first, run(*POOLS, **settings, **given))
    assert run(*POOLS, **settings, **given, seed=1)[0].tobytes() != first[0].tobytes()


def test_without_ranks_the_first_ones_are_random():
    ranked = run(*POOLS, **SHORT, kind="ta_vaal")
    assert_same(ranked, run(*POOLS, **SHORT, kind="ta_vaal"))
    halves = discriminate(ranked[1], [POOLS[1][:90]], np.full(90, 0.5))
    np.testing.assert_allclose(ranked[0], halves, rtol=1e-5)
    assert run(*POOLS, **SHORT)[0].tobytes() != ranked[0].tobytes()


def test_a_streamed_pool_gives_the_same_and_reads_no_more_than_the_steps_need():
    """The number of images read follows from the settings, however large the pool."""
    images_L, images_U = POOLS
    asked = {"L": [], "U": []}

    class Streamed:
        def __init__(self, name, images, size):
            self.name, self.images, self.shape = name, images, (size, 1, 8, 8)

        def __len__(self):
            return self.shape[0]

        def __getitem__(self, positions):
            asked[self.name].append(positions)
            return self.images[positions % len(self.images)]

    held = run(images_L, images_U, **SHORT)
    mean, std = (images_U / 255).mean((0, 2, 3)), (images_U / 255).std((0, 2, 3))
    pools = Streamed("L", images_L, 20), Streamed("U", images_U, 90)
    networks, history = train(*pools, SETTINGS | SHORT, 0, CPU, channel_mean=mean, channel_std=std)
    assert_same(held, (discriminate(networks, [images_U]), networks, history))
    assert all(sum(map(len, at)) == 12 * 16 for at in asked.values())
    assert sorted(torch.cat(asked["U"])[:90].tolist()) == list(range(90))  # every image once before any comes again
    asked["U"].clear()
    train(Streamed("L", images_L, 20), Streamed("U", images_U, 1_000_000), SETTINGS | SHORT, 0, CPU)
    at_U = torch.cat(asked["U"])
    assert len(at_U) == 12 * 16 and len(at_U.unique()) == 12 * 16 and at_U.max() > 100_000


def test_training_is_the_plain_alternation_of_the_two_losses():
    """Against a loop written out with torch.optim: two updates of the VAE, two of the discriminator, each of its own loss."""
    images_L, images_U = POOLS
    n, seed = 6, 5
    settings = SETTINGS | {
        "steps": 3,
        "batch_size": n,
        "vae_steps": 2,
        "discriminator_steps": 2,
        "weight": 3.0,
        "beta": 0.5,
    }
    networks, _ = train(images_L, images_U, settings, seed, CPU)

    torch.manual_seed(seed_for(seed, "networks"))
    reference = build(settings, (1, 8, 8)).train()
    vae, discriminator = reference.vae, reference.discriminator
    adam_vae = torch.optim.Adam(vae.parameters(), lr=settings["lr"])
    adam_discriminator = torch.optim.Adam(discriminator.parameters(), lr=settings["lr"])
    streams = {name: torch.Generator().manual_seed(seed_for(seed, name)) for name in ("labeled", "unlabeled", "noise")}
    at_L = torch.cat([torch.randperm(20, generator=streams["labeled"]) for _ in range(3)]).split(n)
    at_U = torch.randperm(90, generator=streams["unlabeled"]).split(n)
    for step in range(3):
        for update in (0, 1, 2):  # the third batch is the second update of the discriminator alone
            batch = 3 * step + update
            images = torch.cat([images_L[at_L[batch]], images_U[at_U[batch]]]).float() / 255
            mean, log_variance = vae.posterior(vae.encoder(images)).chunk(2, 1)
            if update < 2:
                noise = torch.randn(2 * n, 8, generator=streams["noise"])
                output = vae.decode(mean + torch.exp(log_variance / 2) * noise)
                terms = 0.5 * (output - images).square().sum((1, 2, 3))
                terms = terms + 0.5 * 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
                terms = terms - 3.0 * torch.log(torch.sigmoid(discriminator(mean)))
                adam_vae.zero_grad()
                (terms.sum() / n).backward()
                adam_vae.step()
            if update > 0:
                d = torch.sigmoid(discriminator(mean.detach()))
                adam_discriminator.zero_grad()
                (-(torch.log(d[:n]).sum() + torch.log(1 - d[n:]).sum()) / n).backward()
                adam_discriminator.step()
    for name, expected in reference.state_dict().items():
        torch.testing.assert_close(networks.state_dict()[name], expected, rtol=1e-3, atol=2e-5, msg=name)


def test_the_number_of_updates_follows_the_settings(monkeypatch):
    updates = []
    real = adversary.stepper

    def counting(parameters, settings, state):
        step = real(parameters, settings, state)
        at = len(updates)
        updates.append(0)

        def counted(lr):
            assert lr == 0.01
            updates[at] += 1
            step(lr)

        return counted

    monkeypatch.setattr(adversary, "stepper", counting)
    _, _, history = run(*POOLS, steps=5, batch_size=4, vae_steps=2, discriminator_steps=3, lr=0.01)
    assert updates == [10, 15]
    assert history["step"] == [1, 2, 3, 4, 5]
    assert set(history) == {"step", "reconstruction", "kl", "adversarial", "discriminator"}
    assert all(len(values) == 5 and np.isfinite(values).all() for values in history.values())


def test_history_is_averaged_over_stretches():
    values = torch.arange(450.0, dtype=torch.float64)[:, None] * torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    history = adversary._history(values, ["a", "b"])
    assert history["step"] == [*range(3, 451, 3)]
    assert history["a"] == [3.0 * stretch + 1 for stretch in range(150)] and history["b"][0] == 2


def test_tiny_pools_and_the_empty_one():
    """One labeled image fills its batches by itself; nothing to label, or nothing labeled, is the user's mistake."""
    d, _, _ = run(POOLS[0][:1], POOLS[1][:2], steps=2, batch_size=8)
    assert np.isfinite(d).all()
    for pools in ((POOLS[0][:0], POOLS[1]), (POOLS[0], POOLS[1][:0])):
        with pytest.raises(UserError, match="empty"):
            train(*pools, SETTINGS, 0, CPU)


def test_scores_do_not_depend_on_what_else_is_scored():
    """Evaluation mode: batch statistics of the pool would leak in otherwise."""
    d, networks, _ = run(*POOLS, **SHORT)
    networks.train()
    one = discriminate(networks, POOLS[1][:7].split(1))
    np.testing.assert_allclose(one, d[:7], rtol=1e-4)
