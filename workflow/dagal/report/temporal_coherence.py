"""Whose detections a study follows through time, and by which trackers."""


def trackers(study) -> list[str]:
    """Trackers whose estimates of the first errors are checked: those of the methods, and both flows where the truth is known."""
    used = {about["tracker"] for method, about in study.methods.items() if "coherence" in study.signal_kinds(method)}
    if used and study.settings["dataset"]["loader"] == "synthia_al":
        used |= {"flow", "true_flow"}
    return sorted(used) if study.settings["cycles"] else []


def followed(study) -> dict[str, str]:
    """Learner -> its first method, of the learners whose detections some method follows."""
    found = {}
    for method, about in study.methods.items():
        if "coherence" in study.signal_kinds(method):
            found.setdefault(about["learner"], method)
    return found
