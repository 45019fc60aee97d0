"""Gradient descent for the small networks that selectors train without torch."""

import numpy as np

DECAYS, LEAST = (0.9, 0.999), 1e-8  # of the means of gradients and of their squares; what keeps from dividing by 0


def adam(parameters: list[np.ndarray], learning_rate: float, weight_decay: float = 0.0):
    """A function of the gradients with regard to the parameters, each call of which is one step that changes these in place.

    Kingma & Ba 2015, alg. 1; ``weight_decay`` times a parameter is added to its gradient, as torch does.
    """
    means, squares = ([np.zeros_like(one) for one in parameters] for _ in range(2))
    done = 0

    def step(gradients: list[np.ndarray]) -> None:
        nonlocal done
        done += 1
        for one, gradient, mean, square in zip(parameters, gradients, means, squares, strict=True):
            gradient = gradient + weight_decay * one
            mean += (1 - DECAYS[0]) * (gradient - mean)
            square += (1 - DECAYS[1]) * (gradient**2 - square)
            size = np.sqrt(square / (1 - DECAYS[1] ** done)) + LEAST
            one -= (learning_rate / (1 - DECAYS[0] ** done) * mean / size).astype(one.dtype)

    return step
