"""Selection over shards (`dagal.acquisition.shards`) of a random pool: seconds of a shard, of the merge, and bytes that a shard returns.

    .venv/bin/python benchmarks/shards.py [--n 10000000] [--dimensions 16] [--shards 10] [--budget 1000] [--badge-budget 100]

Shards are done one after the other in this process; "slowest shard" is what a job for each would take. Embeddings of 100 clusters,
softmax outputs of ten long-tailed classes, float32. Where it fits, the selection in one piece is compared (--one-piece).
"""

import argparse
import resource
import time

import numpy as np

CLASSES = 10


def timed(function, *arguments):
    started = time.perf_counter()
    found = function(*arguments)
    return time.perf_counter() - started, found


def size(part) -> int:
    """Bytes of the arrays that a shard returns."""
    values = [part] if isinstance(part, np.ndarray) else part if isinstance(part, tuple) else vars(part).values()
    return sum(np.asarray(value).nbytes for value in values)


def main() -> None:
    from selection import pool

    from dagal.acquisition import class_balanced, covers, kcenter, scores, selection, shards

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000_000)
    parser.add_argument("--dimensions", type=int, default=16)
    parser.add_argument("--shards", type=int, default=10)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--badge-budget", type=int, default=100)
    parser.add_argument("--labeled", type=int, default=1000)
    parser.add_argument("--one-piece", action="store_true")
    options = parser.parse_args()
    n, budget = options.n, options.budget
    probs_N_C, embeddings_N_D = pool(n + options.labeled, options.dimensions)
    centers_L_D, probs_N_C, embeddings_N_D = embeddings_N_D[n:], probs_N_C[:n], embeddings_N_D[:n]
    edges = np.linspace(0, n, options.shards + 1).astype(int)
    cuts = list(zip(edges[:-1], edges[1:], strict=True))
    score_N = np.concatenate([scores.entropy(probs_N_C[a:z]) for a, z in cuts])

    def report(name, shard_seconds, merge_seconds, sizes, note=""):
        slowest, total = max(shard_seconds), sum(shard_seconds)
        print(
            f"{name:<16} slowest shard {slowest:8.2f} s  all {total:8.2f} s  merge {merge_seconds:7.2f} s  "
            f"{max(sizes) / 1e6:8.3f} MB per shard  {note}",
            flush=True,
        )

    def one_piece(function, *arguments):
        return timed(function, *arguments) if options.one_piece else (np.nan, None)

    done = [
        timed(lambda a, z: shards.best(score_N[a:z], shards.ties(np.random.default_rng(0), a, z), a, budget), a, z)
        for a, z in cuts
    ]
    seconds, positions = timed(shards.merged_best, [part for _, part in done], budget)
    whole_seconds, whole = one_piece(selection.top_k, score_N, budget, np.random.default_rng(0))
    note = "" if whole is None else f"in one piece {whole_seconds:.2f} s, same: {np.array_equal(whole, positions)}"
    report("top_k", [s for s, _ in done], seconds, [size(part) for _, part in done], note)

    required_C, asked = np.full(CLASSES, budget / CLASSES), []

    def ask(prices_C, level):
        asked.append([timed(shards.above, score_N[a:z], probs_N_C[a:z], a, prices_C, level) for a, z in cuts])
        return [part for _, part in asked[-1]]

    def count(positions, score_M):
        asked.append([timed(shards.preceding, score_N[a:z], a, positions, score_M) for a, z in cuts])
        return [part for _, part in asked[-1]]

    samples = [timed(shards.sample, score_N[a:z], probs_N_C[a:z], a, n) for a, z in cuts]
    drawn = [part for _, part in samples]
    seconds, found = timed(shards.class_balanced, ask, count, drawn, n, required_C, budget, 0.6)
    rounds = [samples, *asked]
    by_shard = [sum(part[0] for part in parts) for parts in zip(*rounds, strict=True)]
    sizes = [sum(size(part[1]) for part in parts) for parts in zip(*rounds, strict=True)]
    seconds -= sum(part[0] for parts in asked for part in parts)
    whole_seconds, whole = one_piece(class_balanced.class_balanced, score_N, probs_N_C, required_C, budget, 0.6)
    note = f"{len(asked)} rounds, gap {found.relative_gap:.2e}"
    if whole is not None:
        note += f"; in one piece {whole_seconds:.2f} s, bound {whole.lower_bound - found.lower_bound:+.1e}, "
        note += f"objective {whole.objective - found.objective:+.1e}, same: {np.array_equal(whole.positions, found.positions)}"
    report("class_balanced", by_shard, seconds, sizes, note)

    def two_levels(select, chosen):
        """The selection by two levels: seconds of each shard and of the last choice, positions, certified radius."""
        done = [timed(select, np.arange(a, z), chosen) for a, z in cuts]
        union = np.sort(np.concatenate([a + part.positions for (a, _), (_, part) in zip(cuts, done, strict=True)]))
        seconds, last = timed(select, union, chosen)
        radius = last.radius + max(part.radius for _, part in done)
        return [second for second, _ in done], seconds, union[last.positions], radius

    def rows_of(values, rows):
        """A view where it can be one: a shard."""
        return values[rows[0] : rows[-1] + 1] if rows[-1] - rows[0] + 1 == len(rows) else values[rows]

    by_shard, seconds, positions, certified = two_levels(
        lambda rows, b: covers.kcenter_cover(rows_of(embeddings_N_D, rows), centers_L_D, b), budget
    )
    true = kcenter.radius(embeddings_N_D, centers_L_D, positions)
    whole_seconds, whole = one_piece(kcenter.kcenter_greedy, embeddings_N_D, centers_L_D, budget)
    note = f"radius {true:.3f}, certified {certified:.3f}"
    if whole is not None:
        radius = kcenter.radius(embeddings_N_D, centers_L_D, whole)
        note += f"; in one piece {whole_seconds:.2f} s, radius {radius:.3f}"
    report("kcenter_cover", by_shard, seconds, [budget * (8 + embeddings_N_D[0].nbytes)], note)

    rng, chosen = np.random.default_rng(0), options.badge_budget
    by_shard, seconds, positions, certified = two_levels(
        lambda rows, b: covers.badge_cover(rows_of(probs_N_C, rows), rows_of(embeddings_N_D, rows), b, rng), chosen
    )
    true = covers.gradient_radius(probs_N_C, embeddings_N_D, positions)
    note = f"budget {chosen}, radius {true:.3f}, certified {certified:.3f}"
    report("badge_cover", by_shard, seconds, [chosen * (8 + embeddings_N_D[0].nbytes + probs_N_C[0].nbytes)], note)
    print(
        f"{n:,} candidates, {options.shards} shards, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB"
    )


if __name__ == "__main__":
    main()
