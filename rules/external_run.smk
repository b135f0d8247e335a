"""The test of a run's networks on an external cohort, used as a module by external.smk."""


include: "common.smk"
include: "data.smk"
include: "cohort.smk"
include: "train.smk"
include: "evaluate.smk"
