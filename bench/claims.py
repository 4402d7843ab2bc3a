"""
What we claim about speed, in one table, and whether one run bears it out.

A claim is a ratio of two figures of the same run: microseconds differ from machine to machine and from day to day, ratios
hardly do. A figure which is missing, because its peer could not be imported or gave a wrong answer, fails the claim.
"""

from __future__ import annotations

from dataclasses import dataclass

import part_a
import part_b
import part_c
import part_d


@dataclass(frozen=True)
class Claim:
    """`ours` costs at most `at_most` times what `theirs` costs, in each of the places where part `part` measures both."""

    part: str
    ours: str
    theirs: str
    places: tuple[tuple[str, ...], ...]
    at_most: float


TRACKLINE = "trackline setup_logging, ecs"
ORIGIN = "origin (QueueHandler + TimedRotating + json.dumps)"
STRUCTLOG = "structlog BytesLogger + orjson (sync)"


CLAIMS = (
    Claim("B", TRACKLINE, ORIGIN, (("p50_us",),), at_most=0.25),
    Claim("B", TRACKLINE, STRUCTLOG, (("p50_us",), ("cpu_us",)), at_most=0.6),
    Claim("B", TRACKLINE, STRUCTLOG, (("p99_us",),), at_most=0.5),
    Claim("B", TRACKLINE, STRUCTLOG, (("line_us",),), at_most=1 / 1.6),
    Claim("C", TRACKLINE, STRUCTLOG, (("fast", "request_us"), ("fast", "cpu_us_request")), at_most=0.9),
    Claim("C", TRACKLINE, ORIGIN, (("fast", "request_us"), ("stalling", "request_us")), at_most=0.8),
    Claim("D", "logger.debug, disabled, of trackline", "logger.debug, disabled", ((),), at_most=1.0),
    Claim("A", "trackline", "asgi-correlation-id", (("raw", "no id"), ("fastapi", "no id")), at_most=0.5),
    Claim("A", "trackline", "asgi-correlation-id", (("raw", "incoming id"), ("fastapi", "incoming id")), at_most=1.0),
    *(
        Claim("A", f"{set_up} + trackline", set_up, (("fastapi", "no id"), ("fastapi", "incoming id")), at_most=1.1)
        for set_up in ("contrib 100%", "contrib 0%", "native 100%", "native 0%")  # Starlette's is lighter still: measured, not claimed
    ),
)

# A part's figure(result, peer, *place): the smaller, the better, and None where there is none.
FIGURES = {"A": part_a.figure, "B": part_b.figure, "C": part_c.figure, "D": part_d.figure}
# A part's ratio(result, ours, theirs, *place), where it knows a better one than that of two figures.
RATIOS = {"B": part_b.ratio}


def verdicts(parts):
    """Hold every claim about the parts that were run ({letter: result}) against their figures: one verdict a place."""
    found = []
    for claim in CLAIMS:
        if claim.part not in parts:
            continue
        for place in claim.places:
            ours = FIGURES[claim.part](parts[claim.part], claim.ours, *place)
            theirs = FIGURES[claim.part](parts[claim.part], claim.theirs, *place)
            if claim.part in RATIOS:
                ratio = RATIOS[claim.part](parts[claim.part], claim.ours, claim.theirs, *place)
            else:
                # Below zero is noise: from such a figure no ratio follows.
                ratio = ours / theirs if ours is not None and theirs is not None and theirs > 0 else None
            found.append(
                {
                    "part": claim.part,
                    "place": ", ".join(place),
                    "ours": claim.ours,
                    "ours_figure": ours,
                    "theirs": claim.theirs,
                    "their_figure": theirs,
                    "ratio": ratio,
                    "at_most": claim.at_most,
                    "holds": ratio is not None and ratio <= claim.at_most,
                }
            )
    return found


def markdown(found):
    """Return the verdicts as a table."""

    def number(value):
        return "not measured" if value is None else f"{value:.2f}"

    lines = [
        "### Claims: ratios within this run",
        "",
        "| part | where | ours | theirs | ratio | at most | |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for one in found:
        lines.append(
            f"| {one['part']} | {one['place']} | {one['ours']} {number(one['ours_figure'])} "
            f"| {one['theirs']} {number(one['their_figure'])} | {number(one['ratio'])} | {one['at_most']:.3g} "
            f"| {'holds' if one['holds'] else '**FAILS**'} |"
        )
    return "\n".join(lines)
