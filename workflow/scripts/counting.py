"""Animals detected in each camera-trap image against the true numbers -> counting.csv."""

from job import start

from dagal import artifacts
from dagal.report.counting import count_accuracy, presence

start(snakemake)
(detected_S,) = artifacts.read(snakemake.input.images, "images", "detected")
(animals_S,) = artifacts.read(snakemake.input.truth, "truth", "animals")
rows = presence(animals_S, detected_S) + count_accuracy(animals_S, detected_S)
artifacts.write_csv(snakemake.output[0], ["measure", "bin", "images", "value"], rows)
for measure, number, images, value in rows:
    if number == "all" and value is not None:
        print(f"{measure} of {images:,} images: {value:.6g}")
