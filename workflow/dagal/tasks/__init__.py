"""What can be learned: one folder for each task."""
