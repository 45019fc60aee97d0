"""The steps that studies of all tasks share: data, the first labels, and score -> select -> oracle; and those where a person labels."""

from dataclasses import replace

from dagal import datasets
from dagal.query_table import TELLING
from dagal.tasks import QUERY_CYCLE, Stage, needs, nothing


def split_reads(study, at) -> dict:
    latents = study.settings["pool"]["initial"]["kind"] == "kcenter_vae"
    return {
        "images": study.clean_images,
        "truth": study.truth,
        "latents": f"{study.seed_folder(at.seed)}/latents.h5" if latents else [],
        "regions": study.regions,
    }


def split_settings(study, at) -> dict:
    regions = study.settings["regions"]
    return {"pool": study.settings["pool"]} | ({"regions": regions["initial"]} if regions else {})


def split_looks_up(study, at) -> list:
    """A split depends on k-center only if its initial set is chosen by it, and on regions only if it is of these."""
    by_kcenter = study.settings["pool"]["initial"]["kind"].startswith("kcenter")
    found = ["dagal.acquisition.kcenter:kcenter_initial"] if by_kcenter else []
    return found + (["dagal.tasks.segmentation.regions:split_regions"] if study.regions else [])


def answers(study, at) -> list:
    return [study.task.ask, study.task.append, study.task.labeled.schema]


def oracle_settings(study, at) -> dict:
    regions = study.settings["regions"]
    return {"oracle": study.settings["oracle"] | ({"answer": regions["answer"]} if regions else {})}


def initial_reads(study, at) -> dict:
    return {"split": study.split(at.seed), "truth": study.truth, "regions": study.regions}


def score_reads(study, at) -> dict:
    return study.signal_files(at.node, "score") | {
        "split": study.split(at.seed),
        # the two-model framework asks among the images without pseudo-label (003 sec. 3.5)
        "withheld": study.path(study.parent(at.node), "pseudo_labels") if study.is_two_model(at.node.branch) else [],
    }


def score_settings(study, at) -> dict:
    method = study.methods[at.node.branch.method]
    return {
        "score": method["score"],
        "options": method["score_options"],
        "subset": method["subset"],
        "budget": study.settings["budget"],
    }


def select_shard_reads(study, at) -> dict:
    return study.signal_files(at.node, "select") | {"scores": study.path(at.node, "scores")}


def telling(study, at) -> tuple[str | None, str | list]:
    """Kind and path of the file of signals behind a query that tells the class of each candidate; (None, []) if it needed none."""
    method, node = at.node.branch.method, study.parent(at.node)
    kinds = [kind for kind, name in study.signals(method) if name in TELLING]
    return (kinds[0], study.file(node, f"{study.signal_file(method, kinds[0])}.h5")) if kinds else (None, [])


def select_reads(study, at) -> dict:
    shards = study.methods[at.node.branch.method]["shards"]
    parts = [study.file(at.node, f"query_shard{shard}.h5") for shard in range(shards)]
    about = {
        "images": study.clean_images,
        "regions": study.regions,
        "predictions": telling(study, at)[1],
    }  # for the table beside the query
    return select_shard_reads(study, at) | about | ({"shards": parts} if shards > 1 else {})


def select_settings(study, at) -> dict:
    method = study.methods[at.node.branch.method]
    found = {"select": method["select"], "options": method["select_options"], "budget": study.settings["budget"]}
    found["told_by"] = telling(study, at)[0]
    return found | ({"shards": method["shards"]} if method["shards"] > 1 else {})


def select_looks_up(study, at) -> list:
    return study.looked_up("select", study.methods[at.node.branch.method]["select"])


def oracle_reads(study, at) -> dict:
    return {
        "labeled": study.path(study.parent(at.node), "labeled"),
        "query": study.path(at.node, "query"),
        "truth": study.truth,
        "regions": study.regions,
    }


def query(study, at) -> str:
    """The light jobs of a query, which run one after the other."""
    return "query"


def unless_others_read_it(study, at) -> str | None:
    """`query`, unless jobs that are not part of it read the score, and the selection reads what they make of it."""
    method = at.node.branch.method
    return None if study.methods[method]["shards"] > 1 or method in study.auto_weight else "query"


STAGES = {
    "dataset": Stage(
        "dataset",
        {"images": "{dataset}/images.h5", "truth": "{dataset}/truth.h5"},
        settings=lambda study, at: {"dataset": study.settings["dataset"]},
        looks_up=lambda study, at: datasets.looked_up(study.settings["dataset"]),
        log="{dataset}/dataset",
        environment="torch",
        threads=lambda study, at: 4 if study.settings["dataset"]["loader"] in datasets.VIDEO_LOADERS else 1,
        needs=needs.dataset,
    ),
    "split": Stage(
        "split",
        {"split": "{seed_folder}/split.h5"},
        split_reads,
        split_settings,
        split_looks_up,
        needs=needs.split,
    ),
    "initial": Stage(
        "initial",
        {"labeled": "{start}/labeled.h5"},
        initial_reads,
        oracle_settings,
        answers,
        log="{start}/initial",
        needs=needs.answers,
    ),
    "supervised": Stage(
        "supervised",
        {"labeled": "{supervised}/labeled.h5"},
        initial_reads,
        oracle_settings,
        answers,
        log="{supervised}/supervised",
        needs=needs.answers,
    ),
    "score": Stage(
        "score",
        {"scores": "{node}/scores.h5"},
        score_reads,
        score_settings,
        lambda study, at: study.looked_up("score", study.methods[at.node.branch.method]["score"]),
        where=lambda study: {"cycle": QUERY_CYCLE},
        log="{node}/score",
        needs=needs.score,
        group=unless_others_read_it,
        stopped_by="before",
    ),
    "select": Stage(
        "query",
        {"query": "{node}/query.h5", "table": "{node}/query.csv"},
        select_reads,
        select_settings,
        select_looks_up,
        where=lambda study: {"cycle": QUERY_CYCLE},
        log="{node}/select",
        needs=needs.select,
        group=query,
        stopped_by="before",
    ),
    "select_shard": Stage(
        "query",
        {"query": "{node}/query_shard{shard}.h5"},
        select_shard_reads,
        select_settings,
        select_looks_up,
        where=lambda study: {"cycle": QUERY_CYCLE},
        log="{node}/select_shard{shard}",
        needs=needs.select,
        stopped_by="before",
    ),
    "oracle": Stage(
        "oracle",
        {"labeled": "{node}/labeled.h5"},
        oracle_reads,
        oracle_settings,
        answers,
        where=lambda study: {"cycle": QUERY_CYCLE},
        log="{node}/oracle",
        needs=needs.answers,
        group=query,
        stopped_by="before",
        goes_on=True,
    ),
}


# ------------------------------------------------------------------------------------------------------ a person labels


def given_reads(study, at) -> dict:
    found = split_reads(study, at)
    del found["truth"]
    return found | {"given": f"{study.dataset}/given.h5"}


def first_answers(study, at) -> dict:
    return {"labeled": [], "answers": study.answers(at.seed, "initial")}


def answers_to_query(study, at) -> dict:
    files = {"labeled": study.path(study.parent(at.node), "labeled"), "query": study.path(at.node, "query")}
    return files | {"answers": study.answers(at.node)}


def told(study, at) -> list:
    return [study.task.told, study.task.append, study.task.labeled.schema]


# no job of a study that a person labels reads the truth: there is no such file
BY_PERSON = {
    "dataset": replace(STAGES["dataset"], writes={"images": "{dataset}/images.h5", "given": "{dataset}/given.h5"}),
    "split": replace(STAGES["split"], reads=given_reads),
    "initial": replace(STAGES["initial"], script="annotated", reads=first_answers, settings=nothing, looks_up=told),
    "oracle": replace(STAGES["oracle"], script="annotated", reads=answers_to_query, settings=nothing, looks_up=told),
    "told": Stage(
        "told",
        {"truth": "{seed_folder}/told.h5"},
        lambda study, at: {"images": study.clean_images, "answers": study.answers(at.seed, "test")},
        looks_up=lambda study, at: [study.task.told, study.task.known],
    ),
}
