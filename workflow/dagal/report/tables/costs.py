"""Benchmark files of the jobs -> costs.csv: wall time, processor time and peak memory of each, of a GPU too."""

from pathlib import Path
from types import SimpleNamespace

from dagal import artifacts
from dagal.report.item import Item
from dagal.stopping import last_cycles, passed_through

# the jobs of a cycle itself; the others belong to the query after it
OF_THE_CYCLE = ("score", "select", "finetune", "train", "train_labeled_only", "pseudo_labels", "repeat")


def make(job):
    last_cycle = last_cycles(job.input.stop_records)
    rows = []
    for path in map(Path, job.input.benchmarks):
        rule, (owner, folder, backbone) = path.name.split(".")[0], path.parts[-4:-1]
        if folder == "backbones":  # of no cycle; of no seed either where all share it
            branch, _, seed = backbone.partition("-seed")
            seed, cycle = owner.removeprefix("seed") if owner.startswith("seed") else seed or None, None
        else:
            seed, branch, cycle = artifacts.node(path)
            if passed_through(last_cycle, seed, branch, cycle if rule.startswith(OF_THE_CYCLE) else cycle + 1):
                continue
        measured = artifacts.read_costs(path)
        known = [None if measured[name] == "NA" else measured[name] for name in (*artifacts.COSTS, *artifacts.GPU)]
        rows.append([job.params.study, seed, branch, cycle, rule, *known])
    header = ["study", "seed", "branch", "cycle", "rule", "seconds", "cpu_seconds", "peak_memory_mb"]
    header += ["startup_seconds", "startup_memory_mb", *artifacts.GPU]
    artifacts.write_csv(job.output.costs, header, rows)


def benchmarks(study) -> list[str]:
    """Benchmark file of every heavy job of the study."""
    found = []
    for node in [*study.nodes(), *study.supervised()]:
        found += [study.file(node, f"{job}.benchmark.tsv") for job in training_jobs(study, node)]
    found += [path.replace(".h5", ".benchmark.tsv") for path in study.repeats()]
    for name, settings in study.backbones.items():
        jobs = {"simsiam": ["pretrain"], "file": []}.get(settings["kind"], ["embedding"])
        own = [
            method for method, about in study.methods.items() if study.learners[about["learner"]]["backbone"] == name
        ]
        starts = [study.node(study.seeds[0], method, 0) for method in own]
        # nothing sees its first features where every start is fine-tuned
        if study.settings["supervised"] or not all(study.is_finetuned(node) for node in starts):
            jobs = [*jobs, "features"]
        folders = [study.backbone(SimpleNamespace(backbone=name, seed=seed)) for seed in study.seeds]
        found += [f"{folder}/{job}.benchmark.tsv" for folder in folders for job in jobs]
    for seed in study.seeds:
        for method in study.methods:
            jobs, shards = query_jobs(study, method), study.methods[method]["shards"]
            choosing = ["score", "select", *(f"select_shard{shard}" for shard in range(shards) if shards > 1)]
            for cycle in study.cycles[1:]:
                node = study.node(seed, method, cycle)
                found += [study.file(study.parent(node), f"{job}.benchmark.tsv") for job in jobs]
                found += [study.file(node, f"{job}.benchmark.tsv") for job in choosing]
    return sorted(set(found))


def training_jobs(study, node) -> list[str]:
    """Jobs behind the model of a node, by the names of their benchmark files."""
    jobs = ["train"]
    if study.is_finetuned(node):
        jobs.append("finetune")
    if study.has_pseudo_labels(node):
        jobs += ["train_labeled_only", "pseudo_labels"] if study.is_two_model(node.branch) else ["pseudo_labels"]
    return jobs


def query_jobs(study, method: str) -> list[str]:
    """Jobs on the node before a query that the query needs besides training, by the names of their benchmark files."""
    kinds = {kind for kind, _ in study.signals(method)} - {"truth", "images", "query"}
    found = [study.signal_file(method, kind) for kind in sorted(kinds)]
    if {"coherence", "errors"} & kinds:
        found.append("detections")
    if "coherence" in kinds:
        tracker = study.methods[method]["tracker"]
        found.append(f"tracks_{tracker}")
        if tracker == "siamfc" and study.settings["video"]["siamfc"].get("train_on") == "labeled":
            found.append("siamfc")
    if "signals" in found and (shards := study.settings["signals"]["shards"]) > 1:
        found += [f"signals_shard{shard}" for shard in range(shards)]
    if {"ensemble", "ensemble_dropout"} & set(found):
        found += [f"member{member}" for member in range(1, study.settings["signals"]["members"])]
    return list(dict.fromkeys(found))


ITEM = Item(
    make=make,
    reads=lambda study, at: {"benchmarks": benchmarks(study), "stop_records": study.stop_records()},
    writes={"costs": "{results}/costs.csv"},
    settings=lambda study, at: {"study": study.name},
    caption="""
    Wall time, processor time and peak resident memory of every pre-training, training, inference, scoring and selection job,
    as the job itself has them from the operating system; for the jobs behind a query also of their start (libraries, device, model),
    which does not depend on the size of the pool; of those on a GPU also its name and the most memory that tensors took there.
    """,
    category="Tables",
    labels={"costs": "time and memory per job"},
)
