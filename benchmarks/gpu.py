"""Everything that can be measured on one NVIDIA card, written to docs/performance_gpu_<card>.md.

python -m benchmarks.gpu [--minutes 8]

Checks the CUDA kernels against the CPU, times them against torch-only code and MONAI, trains every
stage on synthetic scans with the workflow's own loop, predicts a scan, and projects the hours of
the six-fold reproduction. What does not fit into the minutes is left out, and the page says so.
"""

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import adaptive_max_pool3d

from benchmarks.nms import monai_nms, torch_nms
from benchmarks.plain_nms import early_boxes, trained_boxes
from benchmarks.projection import crops_by_branches
from benchmarks.scene import draw_crops, draw_scans, draw_volume
from benchmarks.timing import Row, machine, table, time_in_turn
from benchmarks.train import operations, product_rate
from nodulenet.boxes import batched_nms, iou_matrix, match, nms
from nodulenet.boxes.anchors import STRIDE, anchor_grid
from nodulenet.inference.predictor import Member, Predictor
from nodulenet.inference.tiles import predict_volume
from nodulenet.model import NoduleNet
from nodulenet.model.corners import roi_corners
from nodulenet.model.device import choose_device, to_device, tune
from nodulenet.model.objective import Objective
from nodulenet.model.roi_pool import roi_pool
from nodulenet.model.weights import Provenance
from nodulenet.settings import (
    AugmentSettings,
    Branch,
    InferenceSettings,
    Recipe,
    read_settings,
)
from nodulenet.training.distributed import Rank
from nodulenet.training.engine import Learner, train_one_epoch, train_step
from nodulenet.training.feed import Part, epoch_feed

STAGES: dict[str, tuple[Branch, ...]] = {
    "ncs": ("ncs",),
    "dfps": ("ncs", "dfps"),
    "full": ("ncs", "dfps", "sr"),
}
PER_SCAN = 1.307
"""Nodules of the published protocol per scan of LIDC-IDRI (benchmarks/measured.yaml)."""

LIDC_SCANS = 1018


@dataclass
class Bench:
    """The device, the sizes of the work, when to stop, and the speeds measured so far.

    speeds: crops per second by the last branch of a stage. net: the network trained last.
    """

    device: torch.device
    options: argparse.Namespace
    end: float
    speeds: dict[str, float] = field(default_factory=dict)
    net: NoduleNet | None = None

    def wait(self) -> None:
        """Until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def boxes(self, count: int, make: Callable = early_boxes) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (N, 6) and scores (N,) on the device."""
        boxes, scores = (torch.from_numpy(array) for array in make(count))
        return boxes.to(self.device), scores.to(self.device)


def main() -> None:
    bench = Bench(*parse())
    tune(bench.device, fixed_shapes=True)
    name = card(bench.device)
    path = bench.options.folder / f"performance_gpu_{name.lower().replace(' ', '_')}.md"
    lines = [f"# Performance on {name}", "", machine(["torch", "numba", "numba-cuda"]), ""]
    lines += [f"`{bench.options.command}`", ""]
    for part in (check_kernels, time_kernels, time_training, time_prediction, project_hours):
        title = str(part.__doc__).partition("\n")[0]
        print(f"{title} ...", flush=True)
        lines += [f"## {title}", "", *measured(bench, part), ""]
        path.write_text("\n".join(lines))  # what follows may be killed
    print(path.read_text(), f"\nwritten to {path}", sep="")


def measured(bench: Bench, part: Callable[[Bench], Iterator[str]]) -> Iterator[str]:
    """The lines of a part; in their place why there are none."""
    if time.monotonic() > bench.end:
        yield "Not measured: the minutes were over."
        return
    try:
        yield from part(bench)
    except Exception as error:  # noqa: BLE001  # the other parts are worth having
        yield f"\n**Failed: {type(error).__name__}: {error}**"


def parse() -> tuple[torch.device, argparse.Namespace, float]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--boxes", type=int, default=300_000, help="most boxes of NMS")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=128, help="side, voxels")
    parser.add_argument("--steps", type=int, default=30, help="timed steps per stage")
    parser.add_argument("--scan", type=int, default=320, help="side of the scan, voxels")
    parser.add_argument("--workers", type=int, help="threads that cut crops")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("docs"))
    options = parser.parse_args()
    given = [f"--{k} {v}" for k, v in vars(options).items() if v != parser.get_default(k)]
    options.command = " ".join(["python -m benchmarks.gpu", *given])
    return choose_device(options.device), options, time.monotonic() + options.minutes * 60


def card(device: torch.device) -> str:
    """The name of the card."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def check_kernels(bench: Bench) -> Iterator[str]:
    """The kernels give what the CPU gives"""
    sizes = [n for n in (0, 1, 65, 10_000, 100_000, 300_000) if n <= bench.options.boxes]
    for count in sizes:
        boxes, scores = bench.boxes(count)
        there, here = nms(boxes, scores, 0.1), nms(boxes.cpu(), scores.cpu(), 0.1)
        alike("nms", count, there, here)
        some = boxes[:500]
        alike("iou_matrix", count, iou_matrix(some, boxes), iou_matrix(some.cpu(), boxes.cpu()))
        for own in (boxes[None], boxes[None, :7000]):
            truth = boxes[None, :3] if count > 2 else torch.zeros(1, 1, 6, device=boxes.device)
            args = own, truth, 0.5, 0.1, True
            on_cpu = (own.cpu(), truth.cpu(), *args[2:])
            alike("match", count, match(*args), match(*on_cpu))
        args = boxes[None], scores[None], 0.1, 0.2, 300
        on_cpu = (boxes[None].cpu(), scores[None].cpu(), *args[2:])
        alike("batched_nms", count, batched_nms(*args), batched_nms(*on_cpu))
    yield f"NMS, IoU, matching and batched NMS: {', '.join(f'{n:,}' for n in sizes)} boxes, equal."


def alike(what: str, count: int, there: torch.Tensor, here: torch.Tensor) -> None:
    """Raise `ValueError` unless two tensors are equal."""
    if not torch.equal(there.cpu(), here):
        raise ValueError(f"{what} of {count} boxes differs from the CPU's")


def time_kernels(bench: Bench) -> Iterator[str]:
    """Boxes and RoI pooling"""
    rows = []
    for name, make in (("early", early_boxes), ("trained", trained_boxes)):
        for count in (10_000, 100_000):
            if count <= bench.options.boxes:
                rows.append(
                    time_nms(bench, f"NMS, {count:,} {name} boxes", *bench.boxes(count, make))
                )
    rows += [time_iou(bench), time_match(bench), time_pooling(bench)]
    yield from table(rows)
    yield ""
    yield "*Torch only* is the same with torch's operations; *fill* writes the result and no more."


def time_nms(bench: Bench, work: str, boxes: torch.Tensor, scores: torch.Tensor) -> Row:
    ways: dict[str, Callable[[], Any]] = {
        "ours": lambda: nms(boxes, scores, 0.1),
    }
    if len(boxes) <= 10_000:  # it waits for the device once per kept box
        ways["torch only"] = lambda: torch_nms(boxes, scores, 0.1)
    if len(boxes) <= 10_000 and importlib.util.find_spec("monai"):
        ways["MONAI"] = monai_nms(boxes, scores, 0.1)
    return time_in_turn(work, ways, 3, bench.wait)


def time_iou(bench: Bench) -> Row:
    count = min(4000, bench.options.boxes)
    boxes, _ = bench.boxes(count)
    target = torch.empty(count, count, device=boxes.device)
    ways = {
        "ours": lambda: iou_matrix(boxes, boxes),
        "torch only": lambda: torch_iou(boxes, boxes),
        "fill": lambda: target.fill_(0),
    }
    return time_in_turn(f"IoU, {count:,} x {count:,}", ways, 10, bench.wait)


def torch_iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The IoU of all pairs by broadcasting; a: (..., N, 6), b: (..., M, 6)."""
    a, b = a[..., :, None, :], b[..., None, :, :]
    low = torch.maximum(a[..., :3] - a[..., 3:] / 2, b[..., :3] - b[..., 3:] / 2)
    high = torch.minimum(a[..., :3] + a[..., 3:] / 2, b[..., :3] + b[..., 3:] / 2)
    overlap = (high - low).clamp(min=0).prod(-1)
    return overlap / (a[..., 3:].prod(-1) + b[..., 3:].prod(-1) - overlap)


def time_match(bench: Bench) -> Row:
    crops = draw_crops(2, bench.options.crop, 3, str(bench.device))
    truth = crops.truth.repeat(max(1, bench.options.batch // 2), 1, 1)
    anchors = anchor_grid((bench.options.crop // STRIDE,) * 3, bench.device)

    def by_torch() -> torch.Tensor:
        iou = torch_iou(anchors, truth)
        best = iou.amax(1, keepdim=True)
        hits = (iou >= best.clamp(max=0.5)) & (iou > 0)
        found = torch.where(hits, iou, -1).argmax(2)
        negative = (iou < 0.1).all(2)
        return torch.where(hits.any(2), found, torch.where(negative, -1, -2))

    ways = {"ours": lambda: match(anchors[None], truth, 0.5, 0.1, True), "torch only": by_torch}
    alike("match", len(anchors), match(anchors[None], truth, 0.5, 0.1, True), by_torch().cpu())
    return time_in_turn(f"matching, {len(truth)} x {len(anchors):,} anchors", ways, 10, bench.wait)


def time_pooling(bench: Bench) -> Row:
    side, count = bench.options.crop // 4, 64 * bench.options.batch
    features = torch.randn(bench.options.batch, 64, side, side, side, device=bench.device)
    features = features.to(memory_format=torch.channels_last_3d)
    generator = torch.manual_seed(0)
    centres = torch.rand(count, 3, generator=generator) * side * 4
    boxes = torch.cat([centres, torch.rand(count, 3, generator=generator) * 30 + 10], 1)
    boxes = boxes.to(bench.device)
    items = torch.arange(count, device=bench.device) % len(features)
    low, high = (corner.tolist() for corner in roi_corners(boxes, (side,) * 3))

    def each() -> torch.Tensor:
        spans = [tuple(map(slice, *ends)) for ends in zip(low, high, strict=True)]
        return torch.stack(
            [
                adaptive_max_pool3d(features[(k % len(features), slice(None), *span)], 7)
                for k, span in enumerate(spans)
            ]
        )

    alike("RoI pooling", count, roi_pool(features, items, boxes), each().cpu())
    ways = {"ours": lambda: roi_pool(features, items, boxes), "torch only": each}
    return time_in_turn(f"pooling of {count:,} RoIs", ways, 5, bench.wait)


def time_training(bench: Bench) -> Iterator[str]:
    """Training, by the workflow's loop from files on disk"""
    options = bench.options
    peak = product_rate(str(bench.device), 8192 if bench.device.type == "cuda" else 512)
    head = "stage", "crops/s", "s per step", "host waits", "memory", "TFLOP/s", "of a bf16 product"
    yield f"| {' | '.join(head)} |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    with tempfile.TemporaryDirectory() as folder:
        scans = draw_scans(Path(folder), 4, options.crop + 32)
        for name, branches in STAGES.items():
            if time.monotonic() > bench.end:
                yield f"| {name} | not measured | | | | | |"
                continue
            tune(bench.device, fixed_shapes="sr" not in branches)
            learner = learner_of(bench, branches)
            settings = learner.objective.settings
            crops = draw_crops(options.batch, options.crop, 2, str(bench.device))
            for _ in range(options.steps):  # so that its proposals and detections are typical
                train_step(learner, [Part(crops, 1.0)])
            few = settings.model_copy(update={"augment": AugmentSettings(random_crops=0.0)})
            for parts in epoch_feed(scans, few, [1, 0, 0], Rank(), bench.device):
                train_step(learner, parts)  # compiles what cuts
            count = operations(lambda: train_step(learner, [Part(crops, 1.0)]))  # noqa: B023
            if bench.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(bench.device)
            feed = epoch_feed(scans, settings, [0, 0, 0], Rank(), bench.device)
            result = train_one_epoch(learner, feed)
            bench.wait()
            bench.speeds[branches[-1]] = result.crops / result.seconds
            bench.net = learner.net
            step, memory = result.seconds / result.steps, peak_memory(bench.device)
            rate = count / step
            yield (
                f"| {name} | {result.crops / result.seconds:.1f} | {step:.3f} "
                f"| {result.wait / result.seconds:.1%} | {memory} | {rate / 1e12:.2f} "
                f"| {rate / peak:.0%} |"
            )
    yield ""
    yield f"{options.batch} crops of {options.crop}³ per step, width {options.width:g}. A product"
    yield f"of two bfloat16 matrices runs at {peak / 1e12:.1f} TFLOP/s here."


def learner_of(bench: Bench, branches: tuple[Branch, ...]) -> Learner:
    """A new network and its optimiser; an epoch of its settings has the timed steps."""
    options = bench.options
    nodules = 8  # of the scans that are drawn
    train = {
        "batch": options.batch,
        "crop": options.crop,
        "workers": options.workers,
        "compile": options.compile,
    }
    extra = options.steps * options.batch / nodules - 1
    settings = Recipe.model_validate({"train": train, "augment": {"random_crops": max(extra, 0.0)}})
    torch.manual_seed(0)
    net = NoduleNet(options.width)
    to_device(net, bench.device)
    if options.compile:
        net.backbone.compile(dynamic=False)
    optimiser = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9)
    return Learner(net, optimiser, Objective(branches, settings))


def peak_memory(device: torch.device) -> str:
    if device.type != "cuda":
        return "-"
    return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"


def time_prediction(bench: Bench) -> Iterator[str]:
    """Prediction of one scan"""
    if bench.net is None:
        yield "Not measured: no network was trained."
        return
    provenance = Provenance(Recipe(), STAGES["full"], "full", None, 0)
    side = bench.options.scan
    volume = draw_volume((side,) * 3, 8)[0]
    predictor = Predictor([Member(bench.net.eval(), provenance)], InferenceSettings())
    tune(bench.device, fixed_shapes=False)
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(bench.device)
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        found = predict_volume(predictor, volume)
        bench.wait()
        seconds.append(time.perf_counter() - begin)
    yield f"{side}³ voxels, {len(found.ncs_boxes)} candidates, {len(found.masks)} masks:"
    yield f"{min(seconds):.2f} s, the first time {seconds[0]:.2f} s; peak memory"
    yield f"{peak_memory(bench.device)}. The network was trained for some steps only."


def project_hours(bench: Bench) -> Iterator[str]:
    """Six-fold reproduction of LIDC-IDRI, projected"""
    crops = crops_by_branches(LIDC_SCANS * PER_SCAN, read_settings([Path("lidc.yaml")]))
    missing = sorted(crops.keys() - bench.speeds.keys())
    if missing:
        yield f"Not projected: {', '.join(missing)} not measured."
        return
    hours = {last: count / bench.speeds[last] / 3600 for last, count in crops.items()}
    shown = ", ".join(f"{value:.1f} h for stages ending in {last}" for last, value in hours.items())
    yield f"Training of all stages of six folds, one after the other: {sum(hours.values()):.1f} h"
    yield f"({shown}). It is a projection from the crops per second above, not a run."


if __name__ == "__main__":
    main()
