"""Detection in videos: the unit of annotation is a frame with all its boxes (thesis 003, ch. 2)."""
