"""A study as one would do it without dagal: by a plain loop, by scikit-activeml with skorch, or by baal.

    python benchmarks/peers.py TOOL STUDY.yaml

To be started where dagal's results of the study lie: data set, initial labels and normalisation are read from them. Network, optimizer,
epochs, batches, budget, cycles and seeds are the study's, which has one learner without augmentation and methods of `SCORES`. Each tool is
used as its own tutorials use it. Prints the mean accuracy of the last models on the test set.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from dagal import artifacts, config  # noqa: E402
from dagal.learners import architectures  # noqa: E402
from dagal.plan import Study  # noqa: E402
from dagal.seeding import seed_for  # noqa: E402

SCORES = {
    "entropy": lambda probs_N_C: -(probs_N_C * np.log(probs_N_C + 1e-12)).sum(1),
    "margin": lambda probs_N_C: -np.diff(np.sort(probs_N_C, 1)[:, -2:])[:, 0],
}


class Images(Dataset):
    """Images (N,H,W,C) uint8 one by one through PIL transforms, with their labels (N,)."""

    def __init__(self, images_N_H_W_C, labels_N, mean_C, std_C):
        self.images, self.labels = images_N_H_W_C, labels_N
        normalise = transforms.Normalize(mean_C, std_C)
        self.transform = transforms.Compose([transforms.ToPILImage(), transforms.ToTensor(), normalise])

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return self.transform(self.images[row]), int(self.labels[row])

    def tensor(self) -> torch.Tensor:
        """All images as the transforms make them, float32 (N,C,H,W)."""
        return torch.stack([image for image, _ in self])


@dataclass(frozen=True)
class Chain:
    """One method and seed. ``initial``: rows of the images to choose from; ``network()``: a new one, the same in each cycle."""

    method: str
    seed: int
    images: Images
    initial: np.ndarray
    test: Images
    network: Callable[[], torch.nn.Module]
    learner: dict
    classes: int
    budget: int
    cycles: int


def chains(file: str) -> Iterator[Chain]:
    study = Study(config.load(file))
    images_N_H_W_C = artifacts.read(study.clean_images, "images", "images")[0]
    labels_N = artifacts.read(study.truth, "truth", "labels")[0]
    classes = int(labels_N.max()) + 1
    (learner,) = study.learners.values()
    for seed in study.seeds:
        names = ("pool", "initial", "test", "channel_mean", "channel_std")
        pool, initial, test, *statistics = artifacts.read(study.split(seed), "split", *names)
        ids = np.union1d(pool, initial)
        sets = [Images(images_N_H_W_C[rows], labels_N[rows], *statistics) for rows in (ids, test)]
        shape = images_N_H_W_C.shape[:0:-1]

        def network(seed=seed, shape=shape, statistics=statistics):
            torch.manual_seed(seed_for(seed, "initialise", 0))
            return architectures.build(learner, shape, classes, *statistics)

        for method in study.methods:
            settings = study.settings["budget"], study.settings["cycles"]
            yield Chain(
                method, seed, sets[0], np.searchsorted(ids, initial), sets[1], network, learner, classes, *settings
            )


def plain(chain: Chain) -> float:
    """The loop of most public repositories of active learning."""
    batch_size, labeled = chain.learner["batch_size"], chain.initial
    for cycle in range(chain.cycles + 1):
        model = chain.network()
        optimizer = torch.optim.Adam(model.parameters(), lr=chain.learner["optimizer"]["lr"])
        loader = DataLoader(Subset(chain.images, labeled), batch_size=batch_size, shuffle=True)
        model.train()
        for _ in range(chain.learner["epochs"]):
            for images, labels in loader:
                optimizer.zero_grad()
                loss = cross_entropy(model(images), labels)
                loss.backward()
                optimizer.step()
                loss.item()  # as these loops do, to print it
        if cycle < chain.cycles:
            unlabeled = np.setdiff1d(np.arange(len(chain.images)), labeled)
            score_N = SCORES[chain.method](probabilities(model, Subset(chain.images, unlabeled), batch_size))
            labeled = np.concatenate([labeled, unlabeled[np.argsort(-score_N)[: chain.budget]]])
    return (probabilities(model, chain.test, batch_size).argmax(1) == chain.test.labels).mean()


@torch.no_grad()
def probabilities(model, images: Dataset, batch_size: int) -> np.ndarray:
    model.eval()
    found = [torch.softmax(model(batch), 1) for batch, _ in DataLoader(images, batch_size=batch_size)]
    return torch.cat(found).numpy()


def scikit_activeml(chain: Chain) -> float:
    from skactiveml.classifier import SkorchClassifier
    from skactiveml.pool import UncertaintySampling

    images, labels_N = chain.images.tensor().numpy(), np.full(len(chain.images), np.nan)
    labels_N[chain.initial] = chain.images.labels[chain.initial]
    about = {
        "max_epochs": chain.learner["epochs"], "batch_size": chain.learner["batch_size"], "train_split": None, "verbose": 0,
        "optimizer": torch.optim.Adam, "lr": chain.learner["optimizer"]["lr"], "iterator_train__shuffle": True,
    }  # fmt: skip
    classes = list(range(chain.classes))
    method = {"margin": "margin_sampling"}.get(chain.method, chain.method)
    strategy = UncertaintySampling(method=method, random_state=chain.seed)
    for cycle in range(chain.cycles + 1):
        model = SkorchClassifier(chain.network(), classes=classes, neural_net_param_dict=about, random_state=chain.seed)
        model.fit(images, labels_N)
        if cycle < chain.cycles:
            query = strategy.query(images, labels_N, clf=model, fit_clf=False, batch_size=chain.budget)
            labels_N[query] = chain.images.labels[query]
    return (model.predict(chain.test.tensor().numpy()) == chain.test.labels).mean()


def baal(chain: Chain) -> float:
    import structlog
    from baal.active import ActiveLearningDataset, ActiveLearningLoop, heuristics
    from baal.modelwrapper import ModelWrapper, TrainingArgs

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))  # warnings
    labeled_N = np.zeros(len(chain.images), int)
    labeled_N[chain.initial] = 1
    images = ActiveLearningDataset(chain.images, labelled=labeled_N)
    model = ModelWrapper(
        chain.network(),
        TrainingArgs(
            batch_size=chain.learner["batch_size"], epoch=chain.learner["epochs"], criterion=cross_entropy, use_cuda=False,
            workers=0, replicate_in_memory=False,
        ),
    )  # fmt: skip
    heuristic = {"entropy": heuristics.Entropy, "margin": heuristics.Margin}[chain.method]()
    options = {"heuristic": heuristic, "query_size": chain.budget, "iterations": 1, "verbose": False}
    loop = ActiveLearningLoop(images, model.predict_on_dataset, **options)
    for cycle in range(chain.cycles + 1):
        model.load_state_dict(chain.network().state_dict())
        model.args.optimizer = torch.optim.Adam(model.get_params(), lr=chain.learner["optimizer"]["lr"])
        model.train_on_dataset(images)
        if cycle < chain.cycles:
            loop.step()
    logits = model.predict_on_dataset(chain.test, iterations=1, verbose=False)
    return (logits[..., 0].argmax(1) == chain.test.labels).mean()


TOOLS = {tool.__name__: tool for tool in (plain, scikit_activeml, baal)}

if __name__ == "__main__":
    tool, file = sys.argv[1:]
    torch.manual_seed(0)
    print(np.mean([TOOLS[tool](chain) for chain in chains(file)]))
