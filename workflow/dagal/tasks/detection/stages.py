"""The steps of a study of detection, besides those that all tasks share (`dagal.plan.stages`)."""

from dataclasses import replace

from dagal.tasks import Stage, gpu, learner, needs, threads

# tracker of temporal coherence -> optical flow behind it, where it is not the study's own
FLOWS = {"true_flow": "true"}


def files(*names: str):
    """Input function: the frames, and the named files of the node."""

    def reads(study, at) -> dict:
        return {"images": study.clean_images} | {name: study.path(at.node, name) for name in names}

    return reads


def train_reads(study, at) -> dict:
    return files("labeled")(study, at) | {
        "split": study.split(at.seed),
        "parent": study.warm_start(at.node, "model.safetensors"),
        "weights": study.learner_of(at.node)["weights"] or [],
    }


def flow_shards(study, flow: str) -> list[str]:
    """The files of all shards of a kind of optical flow."""
    return [study.pattern("{flow}.h5", flow=flow, shard=k) for k in range(study.settings["video"]["shards"])]


def flow_reads(study, at) -> dict:
    flow = FLOWS.get(at.tracker, study.settings["video"]["flow"])
    return files("detections")(study, at) | {"flow": flow_shards(study, flow)}


def network(study, node) -> str:
    """The network of SiamFC that follows the detections of a node: its own where it is trained on labeled frames, else the study's."""
    if study.settings["video"]["siamfc"].get("train_on") == "labeled":
        return study.file(node, "siamfc.safetensors")
    return f"{study.results}/siamfc.safetensors"


def raft_weights(study, at):
    return study.settings["video"]["flow_weights"] if at.flow == "raft" else None


def optical_flow_settings(study, at) -> dict:
    video = study.settings["video"]
    about = {"stride": video["flow_stride"], "shards": video["shards"], "weights": raft_weights(study, at)}
    return {"dataset": study.settings["dataset"]} | about


STAGES = {
    "optical_flow": Stage(
        "optical_flow",
        {"flow": "{flow}.h5"},
        lambda study, at: {"images": study.clean_images, "weights": raft_weights(study, at) or []},
        optical_flow_settings,
        gpu=lambda study, at: int(at.flow == "raft"),
        needs=needs.frames(seconds=5),
        environment="torch",
    ),
    "train": Stage(
        "train_detector",
        {
            "model": "{node}/model.safetensors",
            "history": "{node}/history.h5",
            "predictions": "{node}/predictions.h5",
        },
        train_reads,
        learner,
        log="{node}/train",
        needs=needs.train,
        threads=threads,
        gpu=gpu,
        environment="torch",
    ),
    "detections": Stage(
        "detect",
        {"detections": "{node}/detections.h5"},
        lambda study, at: files("model")(study, at) | {"split": study.split(at.seed)},
        learner,
        needs=needs.pool(),
        threads=threads,
        gpu=gpu,
        environment="torch",
    ),
    "flow_tracks": Stage(
        "flow_tracks",
        {"tracks": "{node}/tracks_{tracker}.h5"},
        flow_reads,
        where=lambda study: {"tracker": "flow|true_flow"},
        needs=needs.frames(seconds=2),
    ),
    "feature_correlation_tracks": Stage(
        "feature_correlation_tracks",
        {"tracks": "{node}/tracks_feature_correlation.h5"},
        files("detections", "model"),
        learner,
        needs=needs.pool(lambda study, size: 10),
        threads=threads,
        gpu=gpu,
        environment="torch",
    ),
    "siamfc": Stage(
        "siamfc",
        {"network": "{results}/siamfc.safetensors"},
        settings=lambda study, at: {"siamfc": study.settings["video"]["siamfc"]},
        needs=needs.siamfc,
        gpu=lambda study, at: int(any(learner["device"] != "cpu" for learner in study.learners.values())),
        environment="torch",
    ),
    "siamfc_labeled": Stage(
        "siamfc_labeled",
        {"network": "{node}/siamfc.safetensors"},
        files("labeled"),
        lambda study, at: {"siamfc": study.settings["video"]["siamfc"]},
        needs=needs.siamfc_labeled,
        threads=threads,
        gpu=gpu,
        environment="torch",
    ),
    "siamfc_tracks": Stage(
        "siamfc_tracks",
        {"tracks": "{node}/tracks_siamfc.h5"},
        lambda study, at: files("detections")(study, at) | {"network": network(study, at.node)},
        needs=needs.frames(seconds=10),
        threads=threads,
        gpu=gpu,
        environment="torch",
    ),
    "coherence": Stage(
        "coherence",
        {"coherence": "{node}/coherence_{tracker}.h5"},
        lambda study, at: files("detections")(study, at) | {"tracks": study.file(at.node, f"tracks_{at.tracker}.h5")},
        lambda study, at: {"overlap": study.settings["video"]["overlap"]},
        needs=needs.frames(seconds=2),
    ),
    "errors": Stage(
        "errors",
        {"errors": "{node}/errors.h5"},
        lambda study, at: {"detections": study.path(at.node, "detections"), "truth": study.truth},
        needs=needs.frames(seconds=2),
    ),
    "evaluate": Stage(
        "evaluate_detector",
        {"metrics": "{node}/metrics.json"},
        lambda study, at: (
            {name: study.path(at.node, name) for name in ("predictions", "labeled")} | {"truth": study.truth}
        ),
        log="{node}/evaluate",
        needs=needs.frames(seconds=2),
    ),
}


def told_reads(study, at) -> dict:
    """What `evaluate` reads where a person labels."""
    return STAGES["evaluate"].reads(study, at) | {"truth": study.told(at.seed)}


BY_PERSON = {"evaluate": replace(STAGES["evaluate"], reads=told_reads)}
