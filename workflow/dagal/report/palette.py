"""The colours of methods, the same in every figure and on the page of a study: what is light enough for paper, and for a dark screen."""

REFERENCE = "random"
GREY = "#333333"
# Chosen greedily from the palettes of Okabe and Ito and of Tol: any two are at least 15 apart in CIE Lab, to
# normal, deuteranope and protanope eyes, and dark enough for white paper.
COLOURS = ["#0072B2", "#D55E00", "#44AA99", "#661100", "#E69F00"]
COLOURS += ["#332288", "#56B4E9", "#117733", "#AA3377", "#CC6677"]
# the same order and much the same hues on a dark screen, told apart as well
GREY_ON_DARK = "#C9CDD2"
ON_DARK = ["#4FA8E0", "#FF634C", "#39F5A8", "#9F6961", "#F7C04A"]
ON_DARK += ["#8C83F0", "#A9DCFA", "#36AB4F", "#D65FA3", "#E1869E"]


def ranks(methods: list[str]) -> dict[str, int | None]:
    """The rank of each method among those that have a colour of their own; None for `REFERENCE`, which is always grey."""
    coloured = [method for method in methods if method != REFERENCE]
    return {method: coloured.index(method) if method in coloured else None for method in methods}
