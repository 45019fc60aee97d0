"""Time and peak memory of every selector over pools of growing size: `make bench-selection`.

Each case runs in a process of its own with a time limit; after a case that does not end in time, larger ones are left out.
Writes selection.csv and selection.png beside this file, with machine and versions.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
BUDGET, CLASSES, LABELED, DRAWS = 1000, 10, 1000, 10
OURS = {  # selector -> embedding size
    "top_k": 1, "class_balanced": 1, "pseudo_label": 1, "kcenter_greedy": 512, "kcenter_class_balanced": 512,
    "core_set": 64, "badge": 512, "batch_bald": 1, "typiclust": 64, "probcover": 64, "dal": 64, "diverse_mini_batch": 64,
}  # fmt: skip
PEERS = {  # scikit-activeml's strategy -> (embedding size, our selector)
    "CoreSet": (512, "kcenter_greedy"), "TypiClust": (64, "typiclust"), "ProbCover": (64, "probcover"),
}  # fmt: skip


def pool(n: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Long-tailed softmax outputs (n,C) and embeddings of 100 clusters (n,D), float32."""
    rng = np.random.default_rng(0)
    probs_N_C = np.exp(rng.normal(0, 2, (n, CLASSES)) - np.linspace(0, 3, CLASSES)).astype(np.float32)
    probs_N_C /= probs_N_C.sum(1, keepdims=True)
    centers = rng.standard_normal((100, dimensions), np.float32)
    embeddings_N_D = rng.standard_normal((n, dimensions), np.float32)
    embeddings_N_D *= 0.3
    for start in range(0, n, 65536):
        block = embeddings_N_D[start : start + 65536]
        block += centers[rng.integers(100, size=len(block))]
    return probs_N_C, embeddings_N_D


def select(name: str, probs_N_C: np.ndarray, embeddings_N_D: np.ndarray) -> float:
    """Run one of our selectors; seconds of the selection alone."""
    from dagal import tasks
    from dagal.acquisition import methods, scores

    n = len(probs_N_C) - LABELED
    context = {
        "probs_N_C": probs_N_C[:n], "embeddings_N_D": embeddings_N_D[:n], "centers_L_D": embeddings_N_D[n:],
        "score_N": scores.entropy(probs_N_C[:n]), "required_C": np.full(CLASSES, BUDGET / CLASSES), "budget": BUDGET,
        "rng": np.random.default_rng(1), "n_classes": CLASSES, "n_candidates": n, "cycle": 1,
    }  # fmt: skip
    function = methods.find("select", name, tasks.find("classification"))
    if name == "batch_bald":
        draws = [np.roll(probs_N_C[:n], t, axis=1) for t in range(DRAWS)]
        context |= {"budget": 10, "draws_T_N_C": np.stack(draws)}
    options = {"core_set": {"time_limit": 60.0}, "class_balanced": {"weight": 0.6}}.get(name, {})
    arguments = {argument: context[argument] for argument in methods.inputs(function)}
    started = time.perf_counter()
    function(**arguments, **options)
    return time.perf_counter() - started


def select_by_peer(name: str, probs_N_C: np.ndarray, embeddings_N_D: np.ndarray) -> float:
    """Run a strategy of scikit-activeml on the same pool."""
    from skactiveml import pool as strategies

    labels = np.full(len(embeddings_N_D), np.nan)
    labels[-LABELED:] = probs_N_C[-LABELED:].argmax(1)
    strategy = getattr(strategies, name)(random_state=0)
    started = time.perf_counter()
    strategy.query(embeddings_N_D, labels, batch_size=BUDGET)
    return time.perf_counter() - started


def case(name: str, n: int) -> dict:
    dimensions = OURS.get(name) or PEERS[name][0]
    data = pool(n + LABELED, dimensions)
    seconds = (select if name in OURS else select_by_peer)(name, *data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mb": peak, "data_mb": sum(values.nbytes for values in data) / 2**20}


def run(name: str, n: int, limit: float) -> dict:
    """One case in a process of its own."""
    try:
        command = [sys.executable, __file__, "--case", name, str(n)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"note": f"over {limit:g} s"}
    if done.returncode:
        return {"note": (done.stderr.strip() or "killed").splitlines()[-1][:100]}
    return json.loads(done.stdout)


def report(rows: list[dict]) -> None:
    """Table with the ratio of each peer to our selector, and the plot of growth."""
    import pandas as pd
    import scipy
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    table = pd.DataFrame(rows)
    seconds = table.set_index(["selector", "n"])["seconds"].to_dict()
    table["times_ours"] = [
        row["seconds"] / seconds[PEERS[row["selector"]][1], row["n"]] if row["selector"] in PEERS else np.nan
        for _, row in table.iterrows()
    ]
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    table["machine"] = f"{machine}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    table.to_csv(HERE / "selection.csv", index=False, float_format="%.3f")
    figure = Figure(figsize=(9, 5), layout="constrained")
    ax = figure.subplots()
    ax.set_prop_cycle(color=colormaps["tab20"].colors)
    for name, group in table.dropna(subset="seconds").groupby("selector", sort=False):
        style = {"linestyle": "--", "marker": "x"} if name in PEERS else {"marker": "o"}
        ax.plot(group["n"], group["seconds"], label=f"{name} (D = {group['dimensions'].iloc[0]})", **style)
    ax.set(xscale="log", yscale="log", xlabel="pool size", ylabel=f"seconds to select {BUDGET}", title=machine)
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(HERE / "selection.png", dpi=120)
    print(table.drop(columns="machine").to_string(index=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--limit", type=float, default=300, help="seconds per case")
    parser.add_argument("--case", nargs=2, metavar=("SELECTOR", "N"), help="run one case and print it as JSON")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(case(arguments.case[0], int(arguments.case[1]))))
        return
    rows = []
    for name in (*OURS, *PEERS):
        for n in arguments.sizes:
            row = {"selector": name, "n": n, "dimensions": OURS.get(name) or PEERS[name][0], "seconds": np.nan}
            rows.append(row | run(name, n, arguments.limit))
            print(rows[-1], flush=True)
            if "note" in rows[-1]:
                break
    report(rows)


if __name__ == "__main__":
    main()
