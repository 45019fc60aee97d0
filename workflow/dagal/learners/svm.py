"""Linear support vector machine, one class against the rest, stored as the linear head of a classifier."""

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from dagal.learners.classifier import Classifier

ITERATIONS = 20_000
NEVER = -1e4  # decision value of a class without labels


@torch.no_grad()
def fit(
    model: Classifier, inputs: torch.Tensor, labels: torch.Tensor, settings: dict, seed: int
) -> dict[str, list[float]]:
    """Fit scikit-learn's LinearSVC (regularised intercept) to what the head reads; its weights become the head's.

    ``inputs`` (L,C,H,W) uint8 or features (L,D,1,1), ``labels`` (L,) int64, ``settings["C"]`` the penalty, ``settings["loss"]`` squared_hinge
    (where it is missing) or hinge, that of an SVM with a linear kernel. The head's outputs
    are the decision values: of two labeled classes the one is minus the other, and a class without labels has the constant
    `NEVER`, so that it is never predicted and no boundary is its own; a single labeled class has the constant 0, and is always predicted.
    Returns ``loss`` (mean over samples and labeled classes) and ``accuracy`` on the labels, for one epoch.
    """
    kind = settings.get("loss") or "squared_hinge"
    model.eval()
    features_L_D = model.embed(inputs).double().cpu().numpy()
    labels_L = labels.cpu().numpy()
    classes = np.unique(labels_L)
    weight_C_D, bias_C = np.zeros(model.head.weight.shape), np.full(len(model.head.bias), NEVER)
    bias_C[classes] = 0
    if len(classes) > 1:
        machine = LinearSVC(C=settings["C"], loss=kind, random_state=seed % 2**31, max_iter=ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # reported below in one sentence
            machine.fit(features_L_D, labels_L)
        if machine.n_iter_ >= ITERATIONS:
            print(f"the SVM has not converged after {ITERATIONS:,} iterations; a smaller C helps.", flush=True)
        weight, bias = machine.coef_, machine.intercept_
        if len(classes) == 2:  # scikit-learn gives the decision for the second class alone
            weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
        weight_C_D[classes], bias_C[classes] = weight, bias
    model.head.weight.copy_(torch.from_numpy(weight_C_D))
    model.head.bias.copy_(torch.from_numpy(bias_C))
    decision_L_C = (features_L_D @ weight_C_D.T + bias_C)[:, classes]
    target_L_C = np.where(labels_L[:, None] == classes, 1, -1)
    hinge_L_C = np.maximum(1 - target_L_C * decision_L_C, 0)
    loss = (hinge_L_C if kind == "hinge" else np.square(hinge_L_C)).mean()
    accuracy = (classes[decision_L_C.argmax(1)] == labels_L).mean()
    print(f"SVM with C = {settings['C']:g}: loss {loss:.4f}  accuracy {accuracy:.4f}", flush=True)
    return {"loss": [float(loss)], "accuracy": [float(accuracy)]}
