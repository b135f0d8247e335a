"""From radiologists' annotations and CT to cross-validated nodule detection: see README.md."""

from snakemake.utils import min_version

min_version("9.19")


# The demo; read only when no --configfile is given.
if not workflow.configfiles:

    configfile: "config.yaml"


include: "rules/common.smk"


# <results>, <logs> and <benchmarks> in the paths of all rules.
pathvars:
    results=f"results/{SETTINGS.cohort}",
    logs=f"logs/{SETTINGS.cohort}",
    benchmarks="<logs>/benchmarks",


report: "rules/report/workflow.rst"


include: "rules/synthetic.smk"
include: "rules/data.smk"
include: "rules/cohort.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/compare.smk"
include: "rules/figures.smk"
include: "rules/external.smk"


localrules:
    all,
    artefacts,
    external,


rule external:
    input:
        TESTS,
        COMPARED,


rule artefacts:
    input:
        "<results>/manifest.tsv",
        # Listed here too, so that a deleted fold is made again.
        [f"<results>/fold{k}/{stage}/weights.pt" for k in FOLDS for stage in TRAINED[k]],
        # And these, since Snakemake ignores changed params where an output was never made.
        [w.format(fold=k, stage=s) for w in WATCHED.values() for k in FOLDS for s in TRAINED[k]],
        collect("<results>/fold{fold}/{stage}/predictions.csv", fold=FOLDS, stage=EVALUATED),
        collect("<results>/{stage}/froc.csv", stage=EVALUATED),
        collect("<results>/{stage}/segmentation.csv", stage=EVALUATED),
        collect("<results>/{stage}/gallery.png", stage=SEGMENTING),
        collect("<results>/figures/training_fold{fold}.svg", fold=filter(TRAINED.get, FOLDS)),
        collect("<results>/figures/{name}.svg", name=["froc", "ablation"]),
        collect("<results>/figures/{name}.svg", name=["dice"] if SEGMENTING else []),
        "<results>/ablation.csv",
        "<results>/reader_pairs.csv",
        rules.external.input,


include: "rules/timings.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        rules.artefacts.input,
        "<results>/figures/timings.svg",
        "<results>/report.html",
