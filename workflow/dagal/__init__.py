"""dagal: deep active learning as a DAG of files. The library; it knows nothing of Snakemake."""

import os

__version__ = "0.1.0"
MOST_PIXELS = 1 << 28  # of an image that is decoded
# OpenCV reads its limit when it is loaded, which is after this
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
