"""Learners: networks, training and inference. Everything here needs torch."""
