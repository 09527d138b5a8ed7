"""Slices: how faces are cut, and errors against values worked by hand and SciPy's Welch test."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap, t, ttest_ind

from hpbench.errors import UsageError
from hpbench.results import slicing
from hpbench.results.slicing import parse_by
from hpbench.scoring.factors import face_factors
from hpbench.scoring.scores import MethodScores
from hpbench.scoring.slices import cut_slices, require_factors, score_slices
from hpbench.scoring.statistics import make_resampling


def dataset(errors=(), **factors):
    """Faces with these factors, and methods that err by these degrees on every angle."""
    columns = {
        name: np.array(values, dtype=object if isinstance(values[0], str | None) else float)
        for name, values in factors.items()
    }
    return SimpleNamespace(factors=columns, methods=[method(one) for one in errors])


def method(errors) -> MethodScores:
    differences = np.repeat(np.asarray(errors, dtype=float)[:, None], 3, axis=1)
    nothing = np.full((len(differences), 3, 3), np.nan)
    return MethodScores(
        nothing, nothing, differences, differences, spec="m", no_answer={},
        confidence=np.full(len(differences), np.nan),
        spread_deg=np.full((len(differences), 3), np.nan),
    )  # fmt: skip


def counts(data, by: str = "") -> dict[str, dict[str, int]]:
    """Faces of every slice by factor."""
    found: dict[str, dict[str, int]] = {}
    for one in cut_slices(data, parse_by(by)).shown:
        found.setdefault(one.factor, {})[one.name] = int(one.faces.sum())
    return found


def test_text_gives_one_slice_per_value_and_missing_cells_are_counted_as_unknown():
    assert counts(dataset(light=["day", None, "night", "day", None])) == {
        "light": {"day": 2, "night": 1, "unknown": 2}
    }


def test_a_column_that_holds_the_word_unknown_is_not_mixed_with_missing_cells():
    assert counts(dataset(light=["unknown", None, "day", None]))["light"] == {
        "day": 1, "unknown": 1, "unknown (no value)": 2,
    }  # fmt: skip


def test_numbers_that_differ_late_are_slices_of_different_names():
    serials = [40123456789.0, 40123456789.0, 40123456790.0]
    assert counts(dataset(camera=serials))["camera"] == {"40123456789": 2, "40123456790": 1}


def test_many_numbers_are_cut_into_quarters():
    assert counts(dataset(age=np.arange(100.0)))["age"] == {
        "0 to 24.75": 25, "24.75 to 49.5": 25, "49.5 to 74.25": 25, "74.25 to 99": 25,
    }  # fmt: skip


def test_few_different_numbers_are_slices_of_their_own():
    assert counts(dataset(camera=[1.0, 2.0, 2.0, np.nan])) == {
        "camera": {"1": 1, "2": 2, "unknown": 1}
    }


def test_numbers_of_which_almost_all_are_equal_still_give_slices():
    numbers = [0.0] * 90 + list(np.arange(1.0, 11.0))
    assert counts(dataset(rain=numbers))["rain"] == {"0 to 1": 90, "1 to 10": 10}


def test_given_ranges_hold_their_lower_edge_and_the_rest_is_counted():
    data = dataset(face_px=[10.0, 64.0, 127.9, 128.0, 5000.0, np.inf, -1.0, np.nan])
    assert counts(data, "face_px=0:64:128:inf")["face_px"] == {
        "0 to 64": 1, "64 to 128": 2, "128 to inf": 3, "outside the ranges": 1, "unknown": 1,
    }  # fmt: skip


def test_edges_that_differ_late_have_different_names():
    (found,) = counts(dataset(year=2000.0 + np.arange(8.0) / 1000)).values()
    assert len(found) == 4


def test_crossed_factors_give_the_combinations_that_exist():
    data = dataset(camera=["a", "a", "b", "b"], light=["day", "night", "day", None])
    assert counts(data, "camera*light") == {
        "camera * light": {"a * day": 1, "a * night": 1, "b * day": 1, "b * unknown": 1}
    }


def test_factor_with_one_value_is_refused_in_words_only_where_it_is_asked_for():
    data = dataset(light=["day", "day"])
    assert cut_slices(data).refused == {}
    assert cut_slices(data, parse_by("light")).refused == {
        "light": "all faces have the same value, day"
    }


def test_edges_for_texts_are_refused_by_name():
    data = dataset(light=["day", "night"], year=["2024", "2025"])
    assert cut_slices(data, parse_by("light=0:1,year=2024:2025:2026")).refused == {
        "light": "'light' holds texts, which edges cannot cut; leave them out"
    }


def test_factor_with_thousands_of_values_is_refused_with_their_number():
    data = dataset(
        name=[f"face {i}" for i in range(4321)], light=["day", "night", "day"] * 1440 + ["day"]
    )
    found = cut_slices(data)
    assert found.refused == {"name": "4321 values; at most 30 can be shown"}
    assert {one.factor for one in found.shown} == {"light"}


def test_factor_without_any_value_is_no_slice():
    assert counts(dataset(light=[None, None])) == {}


def test_infinite_numbers_do_not_break_quarters():
    assert counts(dataset(x=[*np.arange(12.0), np.inf]))["x"]["unknown"] == 1


def test_misspelt_factor_is_named_with_the_nearest_one():
    with pytest.raises(UsageError, match=r"no data set of this run has the factor 'ligth'.*light"):
        require_factors("ligth", [dataset(light=["day", "night"])])


def test_known_factors_are_listed_as_they_have_to_be_written():
    data = dataset(**{"size,cm": ["1", "2"], "a*b=c": ["1", "2"]})
    with pytest.raises(UsageError) as refused:
        require_factors("size", [data])
    written = str(refused.value).partition("known: ")[2]
    assert r"a\*b\=c, " in written and r", size\,cm" in written
    assert [spec.cuts[0].factor for spec in parse_by(r"a\*b\=c,size\,cm")] == ["a*b=c", "size,cm"]


def test_subject_is_named_as_the_group():
    with pytest.raises(UsageError, match="subject or sequence of a face is --by group"):
        slicing.require_factors("subject", ["light", "group"])


@pytest.mark.parametrize("by", ["a=3:2", "a=0", "a=x:y", "a=nan:1", "*b", "a,a", "=1:2"])
def test_what_cannot_be_read_is_refused(by):
    with pytest.raises(UsageError, match="--by"):
        parse_by(by)


def test_factor_that_is_cut_twice_is_refused():
    with pytest.raises(UsageError, match="'abs_yaw=0:60' is named twice; name it once"):
        parse_by("abs_yaw=0:30:60,abs_yaw=0:60")


def test_names_with_commas_stars_and_equals_signs_are_written_with_backslashes():
    (spec,) = parse_by(r"a\,b\*c\=d*light")
    assert [cut.factor for cut in spec.cuts] == ["a,b*c=d", "light"]


def test_errors_of_a_slice_are_those_of_its_faces():
    data = dataset([[1.0, 2.0, np.nan, 6.0]], light=["day", "day", "night", "night"])
    (found,) = score_slices(data, cut_slices(data).shown, make_resampling(4))
    day, night = found.slices
    assert (day.faces, day.scored, day.coverage, day.mae_deg) == (2, 2, 1.0, 1.5)
    assert (night.faces, night.scored, night.coverage, night.mae_deg) == (2, 1, 0.5, 6.0)
    assert night.difference_deg == pytest.approx(4.5)
    assert (night.interval_95, night.p_value, night.p_holm) == (None, None, None)
    assert (found.worst_slice, found.slice_gap) == (None, None)


def test_slice_without_any_prediction_has_no_error():
    data = dataset([[1.0, np.nan]], light=["day", "night"])
    (found,) = score_slices(data, cut_slices(data).shown, make_resampling(2))
    assert found.slices[1].mae_deg is None
    assert found.slices[1].coverage == 0.0


def test_difference_and_its_p_value_agree_with_welch():
    generator = np.random.default_rng(0)
    night = np.arange(400) % 4 == 0
    errors = generator.gamma(2.0, 3.0, 400) + 1.2 * night
    data = dataset([errors], light=np.where(night, "night", "day").tolist())
    (found,) = score_slices(data, cut_slices(data).shown, make_resampling(400))
    welch = ttest_ind(errors[night], errors[~night], equal_var=False)
    one = found.slices[1]
    assert one.difference_deg == pytest.approx(errors[night].mean() - errors[~night].mean())
    assert one.p_value == pytest.approx(welch.pvalue, rel=0.5)
    low, high = one.difference_interval_95
    assert (low, high) == pytest.approx(welch.confidence_interval(), abs=0.15)
    assert one.p_holm == one.p_value


def test_p_value_of_few_faces_is_that_of_students_t_with_the_bootstraps_standard_error():
    errors = np.random.default_rng(4).gamma(2.0, 3.0, 20)
    night = np.arange(20) < 7
    data, resampling = (
        dataset([errors], light=np.where(night, "night", "day").tolist()),
        make_resampling(20),
    )
    (found,) = score_slices(data, cut_slices(data).shown, resampling)
    gaps = []
    for counts_of_draw in resampling.counts:
        drawn = np.repeat(np.arange(20), counts_of_draw)
        inside = night[drawn]
        if inside.any():
            gaps.append(errors[drawn[inside]].mean() - errors[drawn[~inside]].mean())
    apart = abs(errors[night].mean() - errors[~night].mean())
    expected = 2.0 * t.sf(apart / np.std(gaps, ddof=1), 7 - 1)  # the smaller side has 7
    assert found.slices[1].p_value == pytest.approx(expected)


def test_two_values_of_a_factor_are_one_test():
    errors = np.random.default_rng(4).gamma(2.0, 3.0, 120)
    light, camera = np.arange(120) % 2, np.arange(120) % 3
    data = dataset([errors], light=light.tolist(), camera=camera.tolist())
    (found,) = score_slices(data, cut_slices(data).shown, make_resampling(120))
    day, night, *cameras = found.slices
    assert day.p_holm == night.p_holm
    ordered = sorted([day.p_value, *(one.p_value for one in cameras)])
    assert min(one.p_holm for one in found.slices) == pytest.approx(4 * ordered[0], abs=1e-5)


def test_data_set_without_methods_has_no_slices():
    data = dataset(light=["day", "night"])
    assert score_slices(data, cut_slices(data).shown, make_resampling(2)) == []


def test_slice_keeps_its_own_interval_where_too_few_faces_lie_outside():
    errors = np.random.default_rng(5).gamma(2.0, 3.0, 100)
    data = dataset([errors], light=["day"] * 98 + ["night"] * 2)
    (found,) = score_slices(data, cut_slices(data).shown, make_resampling(100))
    day = found.slices[0]
    expected = bootstrap((errors[:98],), np.mean, method="percentile").confidence_interval
    assert day.interval_95 == pytest.approx(tuple(expected), abs=0.15)
    assert day.difference_interval_95 is None


def test_whole_groups_are_resampled_so_that_copies_of_a_face_add_no_certainty():
    generator = np.random.default_rng(1)
    errors, night = generator.gamma(2.0, 3.0, 40), np.arange(40) % 2 == 0
    data = dataset(
        [np.repeat(errors, 25)], light=np.repeat(np.where(night, "night", "day"), 25).tolist()
    )
    (found,) = score_slices(
        data, cut_slices(data).shown, make_resampling(1000, np.repeat(np.arange(40), 25))
    )
    welch = ttest_ind(errors[night], errors[~night], equal_var=False)
    assert found.slices[1].p_value == pytest.approx(welch.pvalue, abs=0.05)


def test_chance_alone_is_rarely_significant():
    found = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        light = generator.choice(["a", "b", "c"], 200).tolist()
        data = dataset(
            [generator.gamma(2.0, 3.0, 200)], light=light, age=generator.normal(size=200)
        )
        (one,) = score_slices(data, cut_slices(data).shown, make_resampling(200, resamples=400))
        found += any(each.p_holm < 0.05 for each in one.slices)
    assert found <= 5  # 2 of 40 are expected at the 5 % level


def test_planted_slice_is_the_worst_and_small_ones_do_not_count():
    generator = np.random.default_rng(2)
    light = np.array(["day"] * 60 + ["night"] * 30 + ["storm"] * 10)
    errors = generator.gamma(2.0, 1.0, 100) + 5.0 * (light == "night") + 50.0 * (light == "storm")
    data = dataset([errors], light=light.tolist())
    (found,) = score_slices(data, cut_slices(data).shown, make_resampling(100))
    assert (found.worst_slice.factor, found.worst_slice.slice) == ("light", "night")
    assert found.worst_slice.scored == 30
    assert (found.slice_gap.worst, found.slice_gap.best) == ("night", "day")
    expected = errors[light == "night"].mean() - errors[light == "day"].mean()
    assert found.slice_gap.gap_deg == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("order", [("camera", "light"), ("light", "camera")])
def test_widest_gap_is_that_of_the_factor_whose_slices_differ_most(order):
    factors = {"camera": ["front", "side"] * 40, "light": ["day", "day", "night", "night"] * 20}
    errors = np.tile([1.0, 2.0, 1.5, 5.5], 20)  # by camera 1.25 and 3.75, by light 1.5 and 3.5
    data = dataset([errors], **{name: factors[name] for name in order})
    (found,) = score_slices(data, cut_slices(data).shown, make_resampling(80))
    assert (found.slice_gap.factor, found.slice_gap.gap_deg) == ("camera", pytest.approx(2.5))


@pytest.mark.parametrize(
    ("groups", "factor"),
    [(["anna", "ben"], ["anna", "ben"]), (["anna", ""], ["anna", None]), (["", ""], None)],
)
def test_group_is_a_factor_where_a_face_has_one(groups, factor):
    faces = pd.DataFrame({"group": groups, "yaw_deg": 0.0, "pitch_deg": 0.0, "roll_deg": 0.0})
    found = face_factors(faces)
    assert ("group" in found) == (factor is not None)
    assert factor is None or found["group"].tolist() == factor


def test_factors_of_a_face_are_its_columns_its_group_and_derived_ones():
    faces = pd.DataFrame(
        {
            "group": ["anna", ""], "x0": [0.0, np.nan], "y0": [0.0, np.nan],
            "x1": [40.0, np.nan], "y1": [90.0, np.nan],
            "yaw_deg": [-30.0, 20.0], "pitch_deg": [np.nan, 1.0], "roll_deg": [0.0, 0.0],
            "factors": [json.dumps({"light": "day", "lux": 3, "beard": True}), None],
        }
    )  # fmt: skip
    found = face_factors(faces)
    assert list(found) == [
        "light", "lux", "beard", "group", "face_px", "abs_yaw", "abs_pitch", "abs_roll",
    ]  # fmt: skip
    assert found["light"].tolist() == ["day", None]
    assert found["lux"][0] == 3.0
    assert found["beard"].tolist() == ["True", None]
    assert found["group"].tolist() == ["anna", None]
    assert found["face_px"][0] == 60.0
    assert found["abs_yaw"].tolist() == [30.0, 20.0]
