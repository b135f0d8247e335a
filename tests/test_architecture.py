"""The page on the architecture says what the workflow and the package are."""

import re
from pathlib import Path

import pytest
import running
from test_repository import ORDER

from docs import rulegraph

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text()
NEEDED = ("Snakefile", "rules", "workflow_scripts", "envs", "profiles", "nodulenet")


def table(head: str) -> list[str]:
    """The names in the first column of the page's table under a heading, from the top."""
    rows = PAGE.split(f"| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> rulegraph.Edges:
    """The arrows of the workflow with its default config, where nothing was computed."""
    folder = tmp_path_factory.mktemp("clone")
    for name in (*NEEDED, "config.yaml", "demo.tsv", "demo_other.tsv"):
        (folder / name).symlink_to(ROOT / name)
    return rulegraph.read_dot(running.run(folder, "--rulegraph"))


def test_the_figure_has_the_arrows_of_the_workflow(edges: rulegraph.Edges) -> None:
    assert ("consensus", "preprocess") in edges
    text = rulegraph.OUTPUT.read_text()
    again = "stale: snakemake --rulegraph | python docs/rulegraph.py"
    assert rulegraph.read_svg(text) == edges, again
    assert rulegraph.draw(edges) == text, again


def test_the_page_has_every_rule(edges: rulegraph.Edges) -> None:
    rules = {rule for edge in edges for rule in edge} - {rulegraph.TARGET}
    listed = table("rule")
    assert len(listed) == len(set(listed))
    assert set(listed) == rules


def test_the_page_has_the_packages_in_their_order() -> None:
    assert table("package") == list(ORDER)


def functions(head: str) -> list[tuple[str, list[str]]]:
    """Step and functions of each row below a heading of the page."""
    rows = PAGE.split(f"\n## {head}\n")[1].split("\n## ")[0].splitlines()
    cells = [row.split("|") for row in rows if row.startswith("| ")][2:]
    return [
        (row[1].strip(" `"), re.findall(r"`(\w+(?:\.\w+){2})`", "|".join(row))) for row in cells
    ]


@pytest.mark.parametrize(
    "head", ["One scan, from its XML to the FROC", "One crop, from its volume to a step"]
)
def test_the_page_has_functions_where_they_are(head: str) -> None:
    named = [name for _, names in functions(head) for name in names]
    assert len(named) > 4
    for name in named:
        module, function = name.rsplit(".", 1)
        text = (ROOT / "nodulenet" / f"{module.replace('.', '/')}.py").read_text()
        assert re.search(rf"^def {function}\(", text, re.M), name


def test_the_page_has_what_the_adapters_call() -> None:
    for rule, (name, *_) in functions("One scan, from its XML to the FROC"):
        text = (ROOT / f"workflow_scripts/{rule}.py").read_text()
        assert re.search(rf"\b{name.rsplit('.', 1)[1]}\(", text), name


def test_arrows_are_read_back_from_what_is_drawn() -> None:
    dot = """
    digraph snakemake_dag {
        0[label = "all", color = "0.04 0.6 0.85", style="rounded"];
        1[label = "last", color = "0.33 0.6 0.85", style="rounded"];
        2[label = "first", color = "0.56 0.6 0.85", style="rounded,dashed"];
        3[label = "both"];
        1 -> 0
        2 -> 1
        3 -> 1
        3 -> 3
        2 -> 3
    }"""
    edges = {("last", "all"), ("first", "last"), ("both", "last"), ("both", "both")}
    edges |= {("first", "both")}
    assert rulegraph.read_dot(dot) == edges
    drawn = rulegraph.draw(edges)
    assert rulegraph.read_svg(drawn) == edges
    # first -> last follows from first -> both -> last; the others stand for themselves.
    assert re.findall(r'implied" data-from="(\w+)" data-to="(\w+)"', drawn) == [("first", "last")]
    assert re.findall(r'data-rule="(\w+)" class="wanted"', drawn) == ["last"]


def test_boxes_do_not_lie_on_each_other(edges: rulegraph.Edges) -> None:
    places = rulegraph.lay_out({(a, b) for a, b in edges if a != b and b != rulegraph.TARGET})
    assert len(set(places.values())) == len(places)
    for a, b in edges:
        if a != b and b != rulegraph.TARGET:
            assert places[a][1] < places[b][1]
