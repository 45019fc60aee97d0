"""What the annotators of an image have decided: the answer of most of them, or that of whoever settled it."""

import json
from collections import Counter

DECISION = "decision"  # source of an answer that settles what annotators differ in, or corrects it


def content(answer: dict) -> dict:
    """What of an answer counts: two annotators agree if it is the same."""
    return {name: answer[name] for name in ("state", "label", "boxes", "mask")}


def decided(answers: dict[str, dict], annotators: int) -> tuple[str, dict | None]:
    """("decided", what was answered), ("waiting", None) while annotators are missing, or ("conflict", None).

    ``answers``: annotator -> the answer that counts (`dagal.labeling.answers.latest`). An answer of the source `DECISION` beats all
    others, the latest one if there are several; else most of ``annotators`` or more give it, and a tie is a conflict.
    """
    settled = [answer for answer in answers.values() if answer["source"] == DECISION]
    if settled:
        return "decided", content(max(settled, key=lambda answer: answer["at"]))
    if len(answers) < annotators:
        return "waiting", None
    votes = Counter(json.dumps(content(answer), sort_keys=True) for answer in answers.values())
    (first, most), *others = votes.most_common()
    if others and others[0][1] == most:
        return "conflict", None
    return "decided", json.loads(first)
