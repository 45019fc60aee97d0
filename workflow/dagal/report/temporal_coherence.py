"""Whose detections a study follows through time, by which trackers, and the optical flow behind these."""


def trackers(study) -> list[str]:
    """Trackers whose estimates of the first errors are checked: those of the methods, and both flows where the truth is known."""
    used = {about["tracker"] for method, about in study.methods.items() if "coherence" in study.signal_kinds(method)}
    if used and study.rendered:
        used |= {"flow", "true_flow"}
    return sorted(used) if study.settings["cycles"] else []


def followed(study) -> dict[str, str]:
    """Learner -> its first method, of the learners whose detections some method follows."""
    found = {}
    for method, about in study.methods.items():
        if "coherence" in study.signal_kinds(method):
            found.setdefault(about["learner"], method)
    return found


def shards(study, flow: str, ending: str = "h5") -> list[str]:
    """The files of all shards of a kind of optical flow."""
    return [study.pattern(f"{{flow}}.{ending}", flow=flow, shard=k) for k in range(study.settings["video"]["shards"])]
