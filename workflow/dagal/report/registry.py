"""The tables and figures of studies, in the order in which the report shows them. A new one is a file and a line here."""

from inspect import cleandoc
from pathlib import Path

from dagal.registry import Registry
from dagal.report.item import Item

ITEMS = Registry(
    {
        "metrics": "dagal.report.tables.metrics:ITEM",
        "summary": "dagal.report.tables.summary:ITEM",
        "comparison": "dagal.report.tables.comparison:ITEM",
        "speed": "dagal.report.tables.speed:ITEM",
        "training_spread": "dagal.report.tables.training_spread:ITEM",
        "checks": "dagal.report.tables.checks:ITEM",
        "gains": "dagal.report.tables.gains:ITEM",
        "published": "dagal.report.tables.published:ITEM",
        "costs": "dagal.report.tables.costs:ITEM",
        "supervised_table": "dagal.report.tables.supervised:ITEM",
        "stopping_tables": "dagal.report.tables.stopping:ITEM",
        "counting": "dagal.report.tables.counting:ITEM",
        "selection_costs": "dagal.report.tables.selection_costs:ITEM",
        "pseudo_label_table": "dagal.report.tables.pseudo_labels:ITEM",
        "informativeness": "dagal.report.tables.informativeness:ITEM",
        "dispersion": "dagal.report.tables.dispersion:ITEM",
        "class_entropy": "dagal.report.tables.class_entropy:ITEM",
        "adversary_auc": "dagal.report.tables.adversary_auc:ITEM",
        "adversary_tables": "dagal.report.tables.adversaries:ITEM",
        "prediction_loss": "dagal.report.tables.prediction_loss:ITEM",
        "decision_boundary": "dagal.report.tables.decision_boundary:ITEM",
        "lambda_table": "dagal.report.tables.lambda_study:ITEM",
        "knn": "dagal.report.tables.knn:ITEM",
        "projection": "dagal.report.tables.projection:ITEM",
        "break_even": "dagal.report.tables.break_even:ITEM",
        "coherence_quality": "dagal.report.tables.coherence_quality:ITEM",
        "video_costs": "dagal.report.tables.video_costs:ITEM",
        "flow_error": "dagal.report.tables.flow_error:ITEM",
        "figure_learning_curves": "dagal.report.figures.learning_curves:ITEM",
        "figure_gains": "dagal.report.figures.gains:ITEM",
        "figure_validation_curves": "dagal.report.figures.validation_curves:ITEM",
        "figure_class_distribution": "dagal.report.figures.class_distribution:ITEM",
        "figure_stopping": "dagal.report.figures.stopping:ITEM",
        "figure_counting": "dagal.report.figures.counting:ITEM",
        "figure_informativeness": "dagal.report.figures.informativeness:ITEM",
        "figure_class_entropy": "dagal.report.figures.class_entropy:ITEM",
        "figure_query_classes": "dagal.report.figures.query_classes:ITEM",
        "figure_selection_costs": "dagal.report.figures.selection_costs:ITEM",
        "figure_adversary_losses": "dagal.report.figures.adversary_losses:ITEM",
        "figure_discriminator_histogram": "dagal.report.figures.discriminator_histogram:ITEM",
        "figure_loss_against_discriminator": "dagal.report.figures.loss_against_discriminator:ITEM",
        "figure_pseudo_labels": "dagal.report.figures.pseudo_labels:ITEM",
        "figure_prediction_loss": "dagal.report.figures.prediction_loss:ITEM",
        "figure_dispersion_histogram": "dagal.report.figures.dispersion_histogram:ITEM",
        "figure_decision_boundary": "dagal.report.figures.decision_boundary:ITEM",
        "figure_lambda": "dagal.report.figures.lambda_study:ITEM",
        "figure_pretraining": "dagal.report.figures.pretraining:ITEM",
        "figure_projection": "dagal.report.figures.projection:ITEM",
        "figure_break_even": "dagal.report.figures.break_even:ITEM",
        "selected_images": "dagal.report.figures.selected_images:ITEM",
        "selected_top": "dagal.report.figures.selected_top:ITEM",
        "dispersion_images": "dagal.report.figures.dispersion_images:ITEM",
        "scenes": "dagal.report.figures.scenes:ITEM",
        "pictures": "dagal.report.figures.estimated_errors:ITEM",
        "queried_regions": "dagal.report.figures.queried_regions:ITEM",
        "figure_segmentation_costs": "dagal.report.figures.segmentation_costs:ITEM",
        "figure_class_iou": "dagal.report.figures.class_iou:ITEM",
        "segmentations": "dagal.report.figures.segmentations:ITEM",
        "publication": "dagal.report.publication:ITEM",
        "page": "dagal.report.page:ITEM",
    }
)


def items(study, but: tuple[str, ...] = ()) -> dict[str, Item]:
    """The tables and figures that a study has, in the order of `ITEMS`, without those named by ``but``."""
    found = {name: ITEMS.find(name) for name in ITEMS if name not in but}
    found = {name: item for name, item in found.items() if item.when(study) and item.variants(study)}
    return without_truth(found, study) if study.by_person else found


def without_truth(found: dict[str, Item], study) -> dict[str, Item]:
    """Those that need no hidden labels, which nobody has where a person labels, nor a table that is made from them."""
    missing, reads = {study.truth}, {}
    for name, item in found.items():
        values = item.reads(study, study.at(item.variants(study)[0])).values()
        reads[name] = {path for value in values for path in ([value] if isinstance(value, str) else value)}
    while dropped := [name for name in reads if reads[name] & missing]:
        for name in dropped:
            del reads[name]
            missing |= {
                study.pattern(path) for path in {**found[name].writes, **found[name].writes_besides(study)}.values()
            }
    return {name: found[name] for name in reads}


def targets(study, but: tuple[str, ...] = ()) -> list[str]:
    """The files of the `items` of a study."""
    return [
        study.pattern(pattern, **variant)
        for item in items(study, but).values()
        for variant in item.variants(study)
        for pattern in {**item.writes, **item.writes_besides(study)}.values()
    ]


def write_captions(folder: str | Path) -> dict[str, str]:
    """A file with the caption of each item that reports show, in a folder: item -> path. Snakemake takes a caption by its path.

    A file that is there with the same text is left as it is; one that was half written is written again by the next run.
    """
    captions = {name: cleandoc(ITEMS.find(name).caption) for name in ITEMS}
    paths = {name: Path(folder).resolve() / f"{name}.rst" for name, caption in captions.items() if caption}
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        if not (path.exists() and path.read_text(encoding="utf-8") == captions[name]):
            path.write_text(captions[name], encoding="utf-8")
    return {name: str(path) for name, path in paths.items()}
