"""Networks without a head, one file per family."""
