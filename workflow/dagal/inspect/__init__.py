"""Looking into what a study leaves."""
