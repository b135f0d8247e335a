"""Draw the rules and their dependencies: `snakemake --rulegraph | python docs/rulegraph.py`.

Reads Graphviz's text and writes docs/images/rulegraph.svg; Graphviz itself is not needed. A rule is
placed below all rules that it depends on. Arrows implied by others are pale; rules whose files are
inputs of `all` have a thick frame, and `all` itself is omitted. The file names the two rules of
every arrow, so that a test can compare them with the workflow (tests/test_architecture.py).
"""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

OUTPUT = Path(__file__).parent / "images" / "rulegraph.svg"
SVG = "http://www.w3.org/2000/svg"
TARGET = "all"
EXTERNAL = "external"
WIDTH, HEIGHT = 138, 30
STEP_X, STEP_Y, MARGIN = 190, 62, 24
STYLE = """
text { font: 13px sans-serif; text-anchor: middle; dominant-baseline: central; fill: #222 }
rect { fill: #eef4fa; stroke: #0072b2; stroke-width: 1 }
rect.wanted { stroke-width: 3 }
path.edge { fill: none; stroke: #444; stroke-width: 1.6; marker-end: url(#head) }
path.implied { stroke: #bbb; stroke-width: 1; marker-end: url(#pale) }
"""

Edges = set[tuple[str, str]]


def main() -> None:
    edges = read_dot(sys.stdin.read())
    OUTPUT.write_text(draw(edges))


def read_dot(text: str) -> Edges:
    """The arrows (rule, rule that depends on it) in the output of `snakemake --rulegraph`.

    The rules of an external cohort, which repeat others, are taken as one.
    """
    names = dict(re.findall(r'^\s*(\d+)\[label = "(external|\w+)', text, re.M))
    edges = {(names[a], names[b]) for a, b in re.findall(r"^\s*(\d+) -> (\d+)", text, re.M)}
    return edges - {(EXTERNAL, EXTERNAL)}


def read_svg(text: str) -> Edges:
    """The arrows of a drawn file, including those to `all`."""
    root = ElementTree.fromstring(text)
    edges = {
        (path.attrib["data-from"], path.attrib["data-to"])
        for path in root.iter(f"{{{SVG}}}path")
        if "data-from" in path.attrib
    }
    rects = root.iter(f"{{{SVG}}}rect")
    wanted = {rect.attrib["data-rule"] for rect in rects if rect.get("class") == "wanted"}
    return edges | {(rule, TARGET) for rule in wanted}


def draw(edges: Edges) -> str:
    """The figure as SVG."""
    wanted = {a for a, b in edges if b == TARGET}
    inner = {edge for edge in edges if edge[1] != TARGET}
    places = lay_out({(a, b) for a, b in inner if a != b})
    implied = {(a, b) for a, b in inner if a != b and has_detour(a, b, inner)}
    # Pale arrows first, so that they lie below the others.
    ordered = sorted(inner, key=lambda edge: (edge not in implied, edge))
    arrows = [draw_arrow(a, b, places, (a, b) in implied) for a, b in ordered]
    boxes = [draw_rule(rule, places[rule], rule in wanted) for rule in sorted(places)]
    longest = max(places[b][1] - places[a][1] for a, b in inner)
    left = min(x for x, _ in places.values()) - WIDTH / 2 - MARGIN - 17 * longest / STEP_Y
    right = max(x for x, _ in places.values()) + WIDTH / 2 + MARGIN
    bottom = max(y for _, y in places.values()) + HEIGHT / 2 + MARGIN
    top = -HEIGHT / 2 - MARGIN
    view = f"{left:g} {top:g} {right - left:g} {bottom - top:g}"
    size = f'width="{right - left:g}" height="{bottom - top:g}"'
    head = f'<svg xmlns="{SVG}" viewBox="{view}" {size}>'
    ground = (
        f'<path fill="#fff" d="M{left:g},{top:g}h{right - left:g}v{bottom - top:g}H{left:g}z"/>'
    )
    heads = f"<defs>{marker('head', '#444')}{marker('pale', '#bbb')}</defs>"
    return "\n".join([head, f"<style>{STYLE}</style>", heads, ground, *arrows, *boxes, "</svg>\n"])


def has_detour(start: str, end: str, edges: Edges) -> bool:
    """Whether another path leads from `start` to `end` than the arrow between them."""
    following = {b for a, b in edges if a == start and b not in (start, end)}
    return any(end in reached(rule, edges) for rule in following)


def reached(start: str, edges: Edges) -> set[str]:
    """All rules that depend on `start`, directly or indirectly."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        rule = waiting.pop()
        new = {b for a, b in edges if a == rule} - found
        found |= new
        waiting += new
    return found


def lay_out(edges: Edges) -> dict[str, tuple[float, float]]:
    """Rule -> centre of its box: a row below all it depends on, the longest path in one column."""
    rules = sorted({rule for edge in edges for rule in edge})
    rows: dict[str, int] = {}
    while len(rows) < len(rules):
        for rule in rules:
            before = [a for a, b in edges if b == rule]
            if rule not in rows and all(a in rows for a in before):
                rows[rule] = max((rows[a] + 1 for a in before), default=0)
    reach = {rule: len(reached(rule, edges)) for rule in rules}
    columns: dict[str, int] = {}
    for row in range(max(rows.values()) + 1):
        members = sorted((r for r in rules if rows[r] == row), key=lambda r: (-reach[r], r))
        for number, rule in enumerate(members):
            columns[rule] = free_column(rule, edges, rows, columns) if number else 0
    return {rule: (columns[rule] * STEP_X, rows[rule] * STEP_Y) for rule in rules}


def free_column(rule: str, edges: Edges, rows: dict[str, int], columns: dict[str, int]) -> int:
    """The first column beside the main one where no box blocks the rule's arrows."""
    first = min(rows[a] for a, b in edges if b == rule)
    taken = {columns[other] for other in columns if first < rows[other] <= rows[rule]}
    # An arrow from here to a far row passes beside the boxes of the column between.
    far = any(rows[b] > rows[rule] + 1 for a, b in edges if a == rule)
    column = 2 if far else 1
    while column in taken:
        column += 1
    return column


def draw_arrow(a: str, b: str, places: dict[str, tuple[float, float]], implied: bool) -> str:
    (x0, y0), (x1, y1) = places[a], places[b]
    half, side = HEIGHT / 2, WIDTH / 2
    between = any(x == x0 == x1 and y0 < y < y1 for x, y in places.values())
    beside = any(y == y0 and x0 < x <= x1 for x, y in places.values())
    if a == b:
        line = f"M{x0 + side:g},{y0 - 8:g} c34,-6 34,22 0,16"
    elif between:
        # Around the boxes between; the further, the wider.
        bend = x0 - side - 22 * (y1 - y0) / STEP_Y
        line = f"M{x0 - side:g},{y0:g} C{bend:g},{y0:g} {bend:g},{y1:g} {x1 - side:g},{y1:g}"
    elif y1 - y0 > STEP_Y and x1 > x0 and not beside:
        line = f"M{x0 + side:g},{y0:g} C{x1:g},{y0:g} {x1:g},{y0:g} {x1:g},{y1 - half:g}"
    else:
        middle = (y0 + y1) / 2
        start, end = f"{x0:g},{y0 + half:g}", f"{x1:g},{y1 - half:g}"
        line = f"M{start} C{x0:g},{middle:g} {x1:g},{middle:g} {end}"
    kind = "edge implied" if implied else "edge"
    return f'<path class="{kind}" data-from="{a}" data-to="{b}" d="{line}"/>'


def draw_rule(rule: str, place: tuple[float, float], wanted: bool) -> str:
    x, y = place
    kind = ' class="wanted"' if wanted else ""
    box = f'x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"'
    return f'<rect data-rule="{rule}"{kind} {box}/><text x="{x:g}" y="{y:g}">{rule}</text>'


def marker(name: str, colour: str) -> str:
    """An arrow's head."""
    place = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"'
    units = 'markerUnits="userSpaceOnUse"'
    return f'<marker id="{name}" {place} {units}><path fill="{colour}" d="M0,0L8,4L0,8z"/></marker>'


if __name__ == "__main__":
    main()
