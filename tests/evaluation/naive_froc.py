"""The steps of the LUNA16 challenge a second time, deliberately naive, and cohorts to try them on.

Nothing of the package is used here: loops over scans, findings and marks, thresholds one by one,
plain `numpy.interp`.
"""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

POSITION = ["coordX", "coordY", "coordZ"]
RATES = [0.125, 0.25, 0.5, 1, 2, 4, 8]


def findings(*rows):
    """Rows (scan, x, y, z, diameter)."""
    return pd.DataFrame(list(rows), columns=["seriesuid", *POSITION, "diameter_mm"])


def marked(*rows):
    """Rows (scan, x, y, z, probability)."""
    return pd.DataFrame(list(rows), columns=["seriesuid", *POSITION, "probability"])


NONE, NO_MARKS = findings(), marked()


def distance(one, other):
    """Millimetres between two rows."""
    return sum((getattr(one, c) - getattr(other, c)) ** 2 for c in POSITION) ** 0.5


def naive_match(nodules, excluded, marks, scans):
    """Each nodule's best mark (nodule's index -> mark or None), the false marks, and how many
    hit an excluded finding."""
    best, false, on_excluded = {}, [], 0
    for scan in scans:
        own = [m for m in marks.itertuples() if m.seriesuid == scan]
        if len(own) > 100:
            limit = sorted((m.probability for m in own), reverse=True)[100]
            own = [m for m in own if m.probability > limit]
        on_nodule, on_other = set(), set()
        for is_nodule, table in ((True, nodules), (False, excluded)):
            for finding in table.itertuples():
                if finding.seriesuid != scan:
                    continue
                radius = (10 if finding.diameter_mm < 0 else finding.diameter_mm) / 2
                hits = []
                for m in own:
                    offset = [getattr(m, c) - getattr(finding, c) for c in POSITION]
                    if sum(o * o for o in offset) < radius * radius:
                        hits.append(m)
                (on_nodule if is_nodule else on_other).update(m.Index for m in hits)
                if is_nodule:
                    best[finding.Index] = max(hits, key=lambda m: m.probability, default=None)
        false += [m for m in own if m.Index not in on_nodule | on_other]
        on_excluded += len(on_other - on_nodule)
    return best, false, on_excluded


def naive_froc(nodules, excluded, marks, scans, readout):
    """Counts (nodules, found, false positives, on excluded), the 7 sensitivities, the CPM."""
    best, false_marks, on_excluded = naive_match(nodules, excluded, marks, scans)
    found = [mark.probability for mark in best.values() if mark is not None]
    false = [mark.probability for mark in false_marks]
    rate, recall = [0.0], [0.0]
    for threshold in sorted({*found, *false}, reverse=True):
        rate.append(sum(p >= threshold for p in false) / len(scans))
        recall.append(sum(p >= threshold for p in found) / len(best))
    sensitivity = []
    if readout == "challenge":
        grid = np.linspace(0.125, 8, 10001)
        curve = np.interp(grid, rate, recall)
        sensitivity = [curve[np.abs(grid - target).argmin()] for target in RATES]
    else:
        for target in RATES:
            beyond = [r for r in rate if r >= target]
            at = min(beyond) if beyond else max(rate)
            sensitivity.append(max(s for r, s in zip(rate, recall, strict=True) if r == at))
    counts = (len(best), len(found), len(false), on_excluded)
    return counts, sensitivity, float(np.mean(sensitivity))


def naive_cut(marks, scans):
    """How many marks the limit of 100 takes, and from how many scans."""
    cut = []
    for scan in scans:
        own = sorted((m.probability for m in marks.itertuples() if m.seriesuid == scan), key=float)
        if len(own) > 100:
            cut.append(sum(p <= own[-101] for p in own))
    return sum(cut), len(cut)


def naive_average_precision(nodules, excluded, marks, scans):
    """Recall steps times precision, threshold by threshold."""
    best, false, _ = naive_match(nodules, excluded, marks, scans)
    found = [mark.probability for mark in best.values() if mark is not None]
    false = [mark.probability for mark in false]
    total = before = 0.0
    for threshold in sorted({*found, *false}, reverse=True):
        hits = sum(p >= threshold for p in found)
        recall = hits / len(best)
        total += (recall - before) * hits / (hits + sum(p >= threshold for p in false))
        before = recall
    return total


def random_table(rng, scans, count, last, values, side):
    """`count` rows in random scans, at whole mm in a cube of `side`."""
    position = rng.integers(0, side, (count, 3)).astype(float)
    columns = dict(zip(POSITION, position.T, strict=True))
    values = rng.choice(values, count)
    return pd.DataFrame({"seriesuid": rng.choice(scans, count)} | columns | {last: values})


@st.composite
def cohorts(draw):
    """Few scans with many marks on a coarse grid: ties, doubles, exact radii, over 100 marks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scans = [f"s{i}" for i in range(draw(st.integers(1, 5)))]
    sizes = [4.0, 6.0, 10.0, 20.0, -1.0]
    nodules = random_table(rng, scans, draw(st.integers(1, 8)), "diameter_mm", sizes, 20)
    excluded = random_table(rng, scans, draw(st.integers(0, 15)), "diameter_mm", sizes, 20)
    levels = draw(st.sampled_from([3, 40, 10_000]))
    count = draw(st.sampled_from([0, 1, 20, 180, 400]))
    marks = random_table(rng, scans, count, "probability", np.arange(levels) / levels, 20)
    return nodules, excluded, marks, scans


def golden_cohort(count=200, seed=16):
    """Seeded scans: nodules found at 8 mm on average or not at all, excluded findings with and
    without a size, ties, and some scans with far more than 100 marks."""
    rng = np.random.default_rng(seed)
    scans = [f"1.2.{number:03}" for number in range(count)]
    sizes = np.append(np.arange(4, 30), -1.0)
    nodules = random_table(rng, scans, 260, "diameter_mm", np.arange(4.0, 30), 200)
    excluded = random_table(rng, scans, 3000, "diameter_mm", sizes, 200)
    levels = np.arange(1, 1000) / 1000
    near = nodules.drop(columns="diameter_mm").iloc[:230]
    near = near.assign(probability=rng.choice(levels[300:], len(near)))
    near[POSITION] += rng.integers(-4, 5, (len(near), 3))
    others = random_table(rng, scans, 4000, "probability", levels, 200)
    crowded = random_table(rng, scans[:5], 1000, "probability", levels, 200)
    for table in (others, crowded):
        table["probability"] = (table["probability"] ** 8).round(3)
    marks = pd.concat([near, others, crowded], ignore_index=True)
    return nodules, excluded, marks.sample(frac=1, random_state=seed, ignore_index=True), scans
