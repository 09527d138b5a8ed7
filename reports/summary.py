"""The three sentences at the top of a report, written from the figures."""

from __future__ import annotations

from collections.abc import Sequence

from hpbench.reports import words
from hpbench.results.results_file import Comparison, Intervals, MethodResult, YawBinErrors, value_at
from hpbench.results.timing_record import TimeSummary
from hpbench.scoring.statistics import MIN_UNITS

__all__ = ["summary_sentences"]


def summary_sentences(
    title: str,
    results: Sequence[MethodResult],
    comparisons: Sequence[Comparison],
    labels: dict[str, str],
) -> list[str]:
    """Say who is best, where errors grow, and what silence and speed cost.

    Parameters
    ----------
    title : str
        Name of the data set.
    results, comparisons : sequence of MethodResult, sequence of Comparison
        All of this data set.
    labels : dict of str to str
        Shown name of each method.
    """
    predicted = [result for result in results if result.images.scored]
    if not predicted:
        return [f"On {title} no method predicted a single face."]
    sentences = [_accuracy(title, predicted, comparisons, labels)]
    turn = _turn(_best(predicted), labels)
    return [*sentences, *([turn] if turn else []), _coverage_and_time(results, labels)]


def _best(results: Sequence[MethodResult], most: int = 3) -> list[MethodResult]:
    """The methods with the lowest error on common faces; a sentence holds no more."""
    return sorted(results, key=lambda r: r.common_images.mae_deg.mean or 1e9)[:most]


def _accuracy(
    title: str,
    results: Sequence[MethodResult],
    comparisons: Sequence[Comparison],
    labels: dict[str, str],
) -> str:
    if len(results) == 1:
        only = results[0]
        return (
            f"On {title}, {labels[only.method_spec]} errs by "
            f"{words.degrees(only.mae_deg.mean)} degrees on average over "
            f"{only.images.scored} faces{_between(only.intervals_95, 'mae_deg.mean')}"
            f"{_seen(only, labels)}."
        )
    complete = all(result.images.no_answer == 0 for result in results)
    best, second = _best(results, 2)
    faces = best.common_images.images
    if not faces:
        return f"On {title} no face was predicted by every method, so none can be called the best."
    over = f"{faces} faces" if complete else f"the {faces} faces that every method predicted"
    sentence = (
        f"On {title}, {labels[best.method_spec]} has the lowest mean error: "
        f"{words.degrees(best.common_images.mae_deg.mean)} degrees over {over}"
        f"{_between(best.intervals_95, 'common_images.mae_deg.mean')}, before "
        f"{labels[second.method_spec]} with "
        f"{words.degrees(second.common_images.mae_deg.mean)}"
    )
    pair = {best.method_spec, second.method_spec}
    for one in comparisons:
        if {one.method_spec_a, one.method_spec_b} == pair:
            beyond = "is statistically significant" if one.p_holm < 0.05 else "is not significant"
            sentence += f"; the difference {beyond} (p {_relation(one.p_holm)})"
            break
    else:
        sentence += "; too few independent faces, subjects or sequences for a test"
    return f"{sentence}{_seen(best, labels)}."


def _seen(result: MethodResult, labels: dict[str, str]) -> str:
    """What a reader must know of the training before believing a low error."""
    name = labels[result.method_spec]
    if result.trained_on_this:
        return f"; {name} was trained on this data set, which is an advantage"
    if result.trained_on_renders:
        return f"; {name} was trained on rendered heads like these, which is an advantage"
    return ""


def _relation(value: float) -> str:
    shown = words.p_value(value)
    return shown if shown.startswith("<") else f"= {shown}"


def _between(intervals: Intervals | None, path: str) -> str:
    found = value_at(intervals, path)
    return "" if found is None else f" (95 % interval {words.interval(found)})"


def _turn(results: Sequence[MethodResult], labels: dict[str, str]) -> str | None:
    """Errors at the largest turn of the head that was predicted, beside those at the smallest.

    Ranges with a handful of predictions are no finding, and a share of the faces is named as such.
    """
    by_far: dict[str, list[str]] = {}
    for result in results:
        filled = [one for one in result.by_abs_yaw if one.images >= MIN_UNITS]
        if len(filled) < 2:
            continue
        near, far = filled[0], filled[-1]
        errors = by_far.setdefault(_range(far), [])
        unit = "" if errors else " degrees"
        errors.append(
            f"{words.degrees(far.mae_mean)}{unit} for {labels[result.method_spec]} "
            f"({words.degrees(near.mae_mean)} at {_range(near)}{_part(far)})"
        )
    parts = [
        f"with the head turned by {far} degrees of true yaw, the mean error is {words.join(errors)}"
        for far, errors in by_far.items()
    ]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if parts else None


def _part(one: YawBinErrors) -> str:
    """How many faces of a range were predicted, where some were not."""
    faces = one.images + one.no_answer
    return f"; {one.images} of {faces} faces predicted" if one.no_answer else ""


def _range(one: YawBinErrors) -> str:
    return f"{one.from_deg:g}-{one.to_deg:g}"


def _coverage_and_time(results: Sequence[MethodResult], labels: dict[str, str]) -> str:
    times = [
        f"{labels[r.method_spec]} {_time(r.runtime_ms['total'])}"
        for r in results
        if r.runtime_ms["total"].p50 is not None
    ]
    if len(results) == 1 and times:
        times = [_time(results[0].runtime_ms["total"])]
    coverage = _coverage(results, labels)
    return f"{coverage}; one face takes {words.join(times)}." if times else f"{coverage}."


def _time(total: TimeSummary) -> str:
    return f"{words.milliseconds(total.p50, total.decimals)} ms"


def _coverage(results: Sequence[MethodResult], labels: dict[str, str]) -> str:
    without_prediction = [result for result in results if result.images.no_answer]
    if not without_prediction:
        return "Every face that counts was predicted" + " by every method" * (len(results) > 1)
    shares = [f"{labels[r.method_spec]} predicted {_share(r)}" for r in without_prediction]
    if len(results) == 1:
        return f"{shares[0]} of the faces that count"
    if (
        len(without_prediction) == len(results)
        and len({result.coverage for result in results}) == 1
    ):
        return f"Every method predicted {_share(without_prediction[0])} of the faces that count"
    text = f"Of the faces that count, {words.join(shares)}"
    return text + ", every other method all of them" * (len(without_prediction) < len(results))


def _share(result: MethodResult) -> str:
    return words.percent(result.coverage) if result.images.scored else "none"
