"""Draw time and peak memory by rule and by scan."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.plots import plot_timings

    plot_timings(Path(snakemake.input.timings), Path(snakemake.output[0]))
