"""Group the readers' outlines into nodules: the protocols `nodulenet` and `strict`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nodulenet.annotations.outlines import interior_mask, mark_mask
from nodulenet.annotations.records import Mark, Session, SliceGeometry
from nodulenet.masks import CroppedMask, Index, crop, mask_iou, union
from nodulenet.settings import ConsensusSettings, Protocol

MAX_LEVEL = 4
PUBLISHED = ConsensusSettings()


@dataclass(frozen=True, eq=False)
class Group:
    """The marks of one nodule.

    members: (session index, mark index) in the order in which they joined. mask: bool (d, h, w),
    the members' masks merged, cropped to its box. offset: (z, y, x) index of its first voxel.
    outlines: the mask of each member alone; empty where nobody drew one. protocol: who had a vote.
    notes: one line for each exception to the rules of protocol and merge.
    """

    members: tuple[tuple[int, int], ...]
    mask: NDArray[np.bool_]
    offset: Index
    outlines: tuple[CroppedMask, ...]
    protocol: Protocol = "nodulenet"
    notes: tuple[str, ...] = ()

    @property
    def cropped(self) -> CroppedMask:
        """The merged mask with its offset."""
        return CroppedMask(self.mask, self.offset)

    @property
    def level(self) -> int:
        """Number of votes, at most 4: of marks, in the strict protocol of readers."""
        votes = self.readers if self.protocol == "strict" else len(self.members)
        return min(votes, MAX_LEVEL)

    @property
    def readers(self) -> int:
        """Number of distinct reading sessions among the marks."""
        return len({session for session, _ in self.members})


@dataclass(frozen=True, eq=False)
class DrawnMark:
    """A mark, by positions of session and mark: what was drawn, by which it is grouped, and the
    voxels it votes for.
    """

    session: int
    mark: int
    drawn: CroppedMask
    voxels: CroppedMask
    notes: tuple[str, ...] = ()


def consensus(
    sessions: Sequence[Session],
    geometry: SliceGeometry,
    level: int = PUBLISHED.level,
    iou_threshold: float = PUBLISHED.iou_threshold,
    **rules: Any,
) -> list[Group]:
    """Group the nodules >= 3 mm of all sessions; give the groups of at least `level` votes.

    rules: z, protocol and merge as in `ConsensusSettings`, which all have their published value
    otherwise.

    In the order of sessions and marks in the file, a mark joins the first earlier group whose
    first member it overlaps with IoU > `iou_threshold`, else it founds a group. Groups come in
    the order of their founding. Nothing larger than the box of a nodule is allocated.

    Marks are grouped by `mark_mask`, what was drawn, under either protocol. `protocol` says for
    which voxels a mark votes, and who votes. "nodulenet": the same voxels, one vote per mark.
    "strict": `interior_mask`, one vote per reading session, however many marks it has in the group;
    a mark without interior votes for what was drawn, which its group notes.

    `merge` says which voxels a group has: "union", or "majority": those that at least half of
    its votes hold. Where no voxel has a majority the union stands, which the group notes.

    Raises `InputError` naming session, mark and ROI for an ROI more than half a slice from every
    slice or with a vertex outside the image; `ValueError` for a rule that does not exist.
    """
    chosen = ConsensusSettings(level=level, iou_threshold=iou_threshold, **rules)
    members = []
    for session_index, session in enumerate(sessions):
        for mark_index, mark in enumerate(session.marks):
            if mark.kind == "nodule":
                where = f"session {session_index + 1}, nodule {mark.mark_id!r}"
                drawn = mark_mask(mark, geometry, chosen.z, where)
                voxels, notes = _voxels(mark, drawn, geometry, chosen, where)
                members.append(DrawnMark(session_index, mark_index, drawn, voxels, notes))
    return group_members(members, chosen)


def group_members(members: Iterable[DrawnMark], rules: ConsensusSettings) -> list[Group]:
    """The groups of at least `rules.level` votes; see `consensus`."""
    groups: list[list[DrawnMark]] = []
    for member in members:
        for group in groups:
            if mask_iou(member.drawn, group[0].drawn) > rules.iou_threshold:
                group.append(member)
                break
        else:
            groups.append([member])
    merged = (_merged(group, rules) for group in groups)
    return [group for group in merged if group.level >= rules.level]


def _voxels(
    mark: Mark,
    drawn: CroppedMask,
    geometry: SliceGeometry,
    rules: ConsensusSettings,
    where: str,
) -> tuple[CroppedMask, tuple[str, ...]]:
    """The voxels that a mark votes for, and a line if that is an exception."""
    if rules.protocol == "nodulenet":
        return drawn, ()
    interior = interior_mask(mark, geometry, rules.z, where)
    if interior is not None:
        return interior, ()
    return drawn, (f"{where}: nothing lies inside its outlines, so that they stand for it",)


def count_levels(groups: Sequence[Group]) -> tuple[int, int, int, int]:
    """Number of groups at level >= 1, 2, 3 and 4."""
    levels = [group.level for group in groups]
    n1, n2, n3, n4 = (sum(value >= least for value in levels) for least in (1, 2, 3, 4))
    return n1, n2, n3, n4


def _merged(members: list[DrawnMark], rules: ConsensusSettings) -> Group:
    """The group of these members, cropped to the voxels that the rule of `merge` gives it."""
    votes, low, voters = _votes(members, rules.protocol)
    notes = tuple(note for member in members for note in member.notes)
    mask = votes > 0
    if rules.merge == "majority":
        most = 2 * votes >= voters
        if most.any():
            mask = most
        else:
            notes += (f"no voxel is in half of its {voters} votes, their union stands",)
    mask, offset = crop(mask, low)
    names = tuple((member.session, member.mark) for member in members)
    outlines = tuple(member.voxels for member in members)
    return Group(names, mask, offset, outlines, rules.protocol, notes)


def _votes(members: list[DrawnMark], protocol: Protocol) -> tuple[NDArray[np.uint16], Index, int]:
    """Votes for each voxel of the members' common box; its first index; number of voters."""
    by_voter: dict[int, list[CroppedMask]] = {}
    for number, member in enumerate(members):
        voter = member.session if protocol == "strict" else number
        by_voter.setdefault(voter, []).append(member.voxels)
    whole, low = union([member.voxels for member in members])
    votes = np.zeros(whole.shape, np.uint16)
    for mask, offset in map(union, by_voter.values()):
        start = np.subtract(offset, low)
        votes[tuple(map(slice, start, start + mask.shape))] += mask
    return votes, low, len(by_voter)
