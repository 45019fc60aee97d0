"""Video: rendering, optical flow, tracking, temporal coherence and the evaluation of detections."""
