"""What a report says of its results and protocols, in sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from hpbench.protocol import Protocol
from hpbench.reports import words
from hpbench.reports.tables.table import is_reference
from hpbench.results.results_file import Comparison, Intervals, MethodResult, YawBinErrors, value_at
from hpbench.results.timing_record import TimingConditions
from hpbench.scoring.statistics import LEVEL, MIN_UNITS

__all__ = ["busy_sentence", "overview_sentences", "protocol_sentences", "summary_sentences"]

BUSY = 2.0
"""Load per core before the timing; up to here it may be what the run's own accuracy pass left."""

_EULER = {
    "nearest": "A rotation has two exact yaw, pitch, roll triples; the one nearer to the ground "
    "truth is used.",
    "canonical": "Angles are read with yaw in -90..90 degrees, so a face labelled beyond 90 "
    "degrees is compared with the other triple.",
    "rq": "Angles are read in the RQ order of cv2.RQDecomp3x3, a known mistake that is kept to "
    "show what it does.",
}
_WRAP = {
    "360": "The error of an angle is the shorter way round the circle, min(e, 360 - e).",
    "none": "The error of an angle is the plain difference, as in Hopenet's script, so it can "
    "exceed 180 degrees.",
}


_MOST_NAMED = 5
"""A sentence that names more methods is not read."""

_ASIDE = ", methods without any prediction left aside,"


def overview_sentences(
    sections: Sequence[Sequence[MethodResult]], labels: dict[str, str]
) -> list[str]:
    """What holds over many data sets, given the results on each."""
    rest = "The sections of the data sets begin with what holds on each."
    compared = [
        ranked
        for results in sections
        if len(ranked := [one for one in results if not is_reference(one.method)]) > 1
    ]
    if not compared:
        return [rest]
    if len(compared) == 1:
        return [f"Only one data set has two methods or more. {rest}"]
    where = f"{len(compared)} data sets"
    if len(compared) < len(sections):
        where += " with two methods or more"
    aside = _ASIDE * any(not one.images.scored for ranked in compared for one in ranked)
    wins: Counter[str] = Counter()
    for ranked in compared:
        known = [one for one in ranked if one.common_images.mae_deg.mean is not None]
        if known:
            wins[_best(known, 1)[0].method_spec] += 1
    if not wins:
        return [f"On none of {where} was a face predicted by every method. {rest}"]
    first, *others = wins.most_common(_MOST_NAMED)
    text = (
        f"On the faces that every method predicted{aside or ','} {labels[first[0]]} has the lowest "
        f"mean error on {first[1]} of {where}"
    )
    if others:
        text += f", {words.join(f'{labels[spec]} on {count}' for spec, count in others)}"
    return [f"{text}. {rest}"]


def summary_sentences(
    title: str,
    results: Sequence[MethodResult],
    comparisons: Sequence[Comparison],
    labels: dict[str, str],
) -> list[str]:
    """Who has the lowest error, where errors grow, coverage and time, one sentence each.

    `comparisons` are those on the faces that every method predicted.
    """
    predicted = [result for result in results if result.images.scored]
    if not predicted:
        return [f"No method predicted a face of {title}."]
    ranked = [result for result in predicted if not is_reference(result.method)] or predicted
    aside = _ASIDE * (len(predicted) < len(results))
    sentences = [_accuracy(title, ranked, comparisons, labels, aside)]
    sentences += [_reference(one, predicted) for one in predicted if one not in ranked]
    sentences += [*_by_yaw(_best(ranked), labels), _coverage(results, labels)]
    return [*sentences, *_times(results, labels)]


def _reference(baseline: MethodResult, predicted: Sequence[MethodResult]) -> str:
    """The error of the frontal baseline, on the faces that the sentence before it is about."""
    where, mean = "For reference", baseline.mae_deg.mean
    if baseline.common_images.images and any(one.images.no_answer for one in predicted):
        where, mean = "On the same faces", baseline.common_images.mae_deg.mean
    return f"{where}, the frontal baseline has a mean error of {words.degrees(mean)} degrees."


def _best(results: Sequence[MethodResult], most: int = 3) -> list[MethodResult]:
    """The methods with the lowest error on common faces; a sentence holds no more."""

    def error_deg(result: MethodResult) -> float:
        mean = result.common_images.mae_deg.mean
        return math.inf if mean is None else mean

    return sorted(results, key=error_deg)[:most]


def _accuracy(
    title: str,
    results: Sequence[MethodResult],
    comparisons: Sequence[Comparison],
    labels: dict[str, str],
    aside: str,
) -> str:
    if len(results) == 1:
        only = results[0]
        return (
            f"On {title}, {labels[only.method_spec]} has a mean error of "
            f"{words.degrees(only.mae_deg.mean)} degrees over {only.images.scored} faces"
            f"{_between(only.intervals_95, 'mae_deg.mean')}{_advantage(only, labels)}."
        )
    complete = all(result.images.no_answer == 0 for result in results)
    best, second = _best(results, 2)
    faces = best.common_images.images
    if not faces:
        return f"On {title}, no face was predicted by every method, so there is no ranking."
    over = f"{faces} faces"
    if not complete or aside:
        over = f"the {faces} faces that every method predicted{aside}"
    sentence = (
        f"On {title}, {labels[best.method_spec]} has the lowest mean error: "
        f"{words.degrees(best.common_images.mae_deg.mean)} degrees over {over}"
        f"{_between(best.intervals_95, 'common_images.mae_deg.mean')}, followed by "
        f"{labels[second.method_spec]} with {words.degrees(second.common_images.mae_deg.mean)}"
    )
    verdict = _verdict(comparisons, {best.method_spec, second.method_spec})
    return f"{sentence}; {verdict}{_advantage(best, labels)}."


def _verdict(comparisons: Sequence[Comparison], pair: set[str]) -> str:
    """Whether two methods differ significantly."""
    units = "independent faces, subjects or sequences"
    for one in comparisons:
        if {one.method_spec_a, one.method_spec_b} == pair:
            if one.p_holm is None:
                return f"too few {units} for significance tests of {len(comparisons)} pairs"
            verdict = "is" if one.p_holm < LEVEL else "is not"
            p_value = words.p_value(one.p_holm)
            p_value = p_value if p_value.startswith("<") else f"= {p_value}"
            return f"the difference {verdict} statistically significant (p {p_value})"
    return f"too few {units} for a significance test"


def _advantage(result: MethodResult, labels: dict[str, str]) -> str:
    """What a reader must know of the training before believing a low error."""
    name = labels[result.method_spec]
    if result.trained_on_this:
        return f"; {name} was trained on this data set, which is an advantage"
    if result.trained_on_renders:
        return f"; {name} was trained on rendered heads like these, which is an advantage"
    return ""


def _between(intervals: Intervals | None, path: str) -> str:
    found = value_at(intervals, path)
    return "" if found is None else f" (95 % interval {words.interval(found)})"


def _by_yaw(results: Sequence[MethodResult], labels: dict[str, str]) -> list[str]:
    """Errors at the largest yaw that was predicted, beside those at the smallest.

    Ranges with a handful of predictions are no finding, and incomplete coverage is named.
    """
    by_far: dict[str, list[str]] = {}
    for result in results:
        filled = [one for one in result.by_abs_yaw if one.images >= MIN_UNITS]
        if len(filled) < 2:
            continue
        near, far = filled[0], filled[-1]
        errors = by_far.setdefault(_range(far), [])
        unit = "" if errors else " degrees"
        part = f"; {far.images} of {far.faces} faces predicted" if far.no_answer else ""
        errors.append(
            f"{words.degrees(far.mae_mean)}{unit} for {labels[result.method_spec]} "
            f"({words.degrees(near.mae_mean)} at {_range(near)}{part})"
        )
    return [
        f"At {far} degrees of yaw, the mean error is {words.join(errors)}."
        for far, errors in by_far.items()
    ]


def _range(one: YawBinErrors) -> str:
    return f"{one.from_deg:g}-{one.to_deg:g}"


def _times(results: Sequence[MethodResult], labels: dict[str, str]) -> list[str]:
    times = {r.method_spec: r.runtime_ms["total"] for r in results if not is_reference(r.method)}
    timed = {
        spec: f"{words.milliseconds(total.p50, total.decimals)} ms"
        for spec, total in times.items()
        if total.p50 is not None
    }
    if not timed:
        return []
    if len(times) == 1:
        return [f"Time per face: {next(iter(timed.values()))}."]
    if len(timed) <= _MOST_NAMED:
        return [f"Time per face: {words.join(f'{labels[s]} {time}' for s, time in timed.items())}."]
    order = sorted(timed, key=lambda spec: times[spec].p50 or 0.0)
    first, last = order[0], order[-1]
    text = f"Time per face: from {timed[first]} ({labels[first]}) to {timed[last]} ({labels[last]})"
    best = _best([result for result in results if result.method_spec in timed], 1)[0].method_spec
    return [text + (f"; {labels[best]} {timed[best]}." if best not in (first, last) else ".")]


def _coverage(results: Sequence[MethodResult], labels: dict[str, str]) -> str:
    incomplete = [result for result in results if result.images.no_answer]
    if not incomplete:
        return "Every evaluated face was predicted" + " by every method" * (len(results) > 1) + "."
    shares = [f"{labels[r.method_spec]} predicted {_share(r)}" for r in incomplete]
    if len(results) == 1:
        return f"{shares[0]} of the evaluated faces."
    if len(incomplete) == len(results) and len({result.coverage for result in results}) == 1:
        return f"Every method predicted {_share(incomplete[0])} of the evaluated faces."
    if len(incomplete) > _MOST_NAMED:
        least = min(incomplete, key=lambda result: result.coverage or 0.0)
        return (
            f"{len(incomplete)} of {len(results)} methods did not predict every evaluated face; "
            f"{labels[least.method_spec]} predicted the fewest, {_share(least)}."
        )
    text = f"Of the evaluated faces, {words.join(shares)}"
    complete = [labels[result.method_spec] for result in results if not result.images.no_answer]
    if complete:
        others = complete[0] if len(complete) == 1 else "every other method"
        text += f", {others} all of them"
    return f"{text}."


def _share(result: MethodResult) -> str:
    return words.percent(result.coverage) if result.images.scored else "none"


def protocol_sentences(protocol: Protocol) -> list[str]:
    """What a protocol means, one setting per sentence."""
    detector, _, several = protocol.boxes.partition(", ")
    if protocol.boxes == "annotated":
        boxes = "Every method gets the face box of the annotation."
    elif detector == "picture":
        boxes = "Every method gets the whole image as the box."
    else:
        boxes = f"Face boxes are found by {detector}"
        boxes += f" (the {several})" if several else ""
        boxes += "; a face that it misses has no prediction of any method."
    settings = ", ".join(f"{key} = {value}" for key, value in sorted(protocol.settings.items()))
    sentences = [boxes, _EULER[protocol.euler], _WRAP[protocol.wrap]]
    if protocol.summary:
        summary = protocol.summary.rstrip(".")
        sentences.insert(0, f"{summary[0].upper()}{summary[1:]}.")
    if settings:
        sentences.append(f"Settings of the data set: {settings}.")
    return sentences


def busy_sentence(conditions: TimingConditions) -> str:
    """Sentence on other work on the machine when times were taken; empty without such."""
    load, cores = conditions.load_average_before, conditions.cores
    if load is None or cores is None or load <= BUSY * cores:
        return ""
    return (
        f"the machine was busy with other work when times were taken (load average {load:.1f} on "
        f"{cores} cores), so they may be far too long; repeat the run on a quiet machine"
    )
