"""Acquisition functions: scores, selectors, and the methods composed of them."""
