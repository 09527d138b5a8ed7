"""The summary of a run, on tables small enough to work out by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from hpbench.dataset import evenly_spaced
from hpbench.errors import DataError
from hpbench.protocol import Protocol
from hpbench.results.run_record import RunRecord
from hpbench.rotation import rotation_from_angles
from hpbench.scoring.scores import RunTables, load_run, score_datasets
from hpbench.scoring.summary import summarise
from hpbench.storage.schemas import ROTATION_COLUMNS, rotation_cells

NAN = float("nan")


def face(image_id, angles, excluded=None, group="", dataset="heads"):
    """Row of faces.parquet."""
    angles = np.asarray(angles, dtype=float)
    R = rotation_from_angles(angles) if np.isfinite(angles).all() else None
    return {
        "dataset": dataset, "image_id": image_id, "group": group, "excluded": excluded,
        "box_status": "annotated",
        "yaw_deg": angles[0], "pitch_deg": angles[1], "roll_deg": angles[2], **rotation_cells(R),
    }  # fmt: skip


def prediction(method, image_id, angles, reason=None, dataset="heads"):
    """Row of predictions.parquet; angles None for no prediction."""
    R = None if angles is None else rotation_from_angles(angles)
    return {
        "dataset": dataset, "method": method, "image_id": image_id,
        "status": "no_answer" if angles is None else "ok", "reason": reason, **rotation_cells(R),
    }  # fmt: skip


def run_json(methods, resample="image", **dataset):
    protocol = Protocol(dataset="heads", **dataset)
    return {
        "schema": 2,
        "hpbench": "0",
        "created": "2020-01-01",
        "command": [],
        "fingerprint": "",
        "spec": {"methods": ",".join(methods)},
        "seed": 0,
        "versions": {},
        "hardware": {},
        "methods": {
            spec: {
                "name": spec.partition("[")[0],
                "identity": "",
                "card": {
                    "name": spec,
                    "title": spec,
                    "weights_sha256": "abc",
                    "trained_on": ["heads"],
                },
            }
            for spec in methods
        },
        "datasets": {
            "heads": {
                "name": "heads",
                "card": {"name": "heads", "title": "Heads"},
                "protocol": protocol.model_dump(mode="json"),
                "protocol_hash": protocol.hash,
                "boxes": "annotated",
                "resample": resample,
                "not_run": {},
            }
        },
    }


NO_TIMES = pd.DataFrame(
    columns=["dataset", "method", "image_id", "prepare_ms", "infer_ms", "decode_ms", "total_ms"]
)


def summary(faces, predictions, run, timing=NO_TIMES):
    return summarise(run_tables(faces, predictions, run, timing)).as_json()


def run_tables(faces, predictions, run, timing=NO_TIMES):
    record = RunRecord.model_validate(run)
    return RunTables(pd.DataFrame(faces), pd.DataFrame(predictions), timing, record)


@pytest.fixture
def two_methods():
    """Five faces, one excluded; method b does not predict the last one."""
    faces = [
        face("1", [10, 0, 0]),
        face("2", [-40, 0, 0]),
        face("3", [70, 10, 0]),
        face("4", [120, 0, 0], excluded="beyond 99"),
        face("5", [0, 0, 0]),
    ]
    predictions = [
        prediction("a[x=1]", "1", [13, 0, 0]),
        prediction("a[x=1]", "2", [-40, 6, 0]),
        prediction("a[x=1]", "3", [70, 10, 9]),
        prediction("a[x=1]", "5", [0, 0, 0]),
        prediction("b", "5", None, "no eyes"),
        prediction("b", "3", [70, 10, 3]),
        prediction("b", "1", [10, 0, 0]),
        prediction("b", "2", [-40, 0, 0]),
    ]
    return faces, predictions, run_json(["a[x=1]", "b"])


def test_every_face_is_counted_once(two_methods) -> None:
    found = summary(*two_methods)["results"]
    assert [one["images"] for one in found] == [
        {"total": 5, "excluded": 1, "scored": 4, "no_answer": 0},
        {"total": 5, "excluded": 1, "scored": 3, "no_answer": 1},
    ]


def test_errors_are_paired_with_faces_by_name_and_not_by_row(two_methods) -> None:
    a, b = summary(*two_methods)["results"]
    assert a["mae_deg"] == {"yaw": 0.75, "pitch": 1.5, "roll": 2.25, "mean": 1.5}
    assert b["mae_deg"] == pytest.approx({"yaw": 0, "pitch": 0, "roll": 1, "mean": 1 / 3}, abs=1e-6)


def test_curves_of_complete_labels_are_of_geodesic_errors(two_methods) -> None:
    found = summary(*two_methods)["results"]
    assert [one["ced"]["error"] for one in found] == ["geodesic", "geodesic"]


def test_stable_keys_of_the_schema_are_there(two_methods) -> None:
    a, b = summary(*two_methods)["results"]
    assert (a["dataset"], a["method"], a["method_spec"]) == ("heads", "a", "a[x=1]")
    assert a["protocol"]["name"] == "default"
    assert a["protocol"]["hash"] == Protocol(dataset="heads").hash
    assert a["boxes"] == "annotated"
    assert b["weights_sha256"] == "abc"
    assert set(a["geodesic_deg"]) == {"mean", "median"}
    assert {"prepare", "infer", "decode", "total"} <= set(a["runtime_ms"])


def test_errors_by_yaw(two_methods) -> None:
    a, b = summary(*two_methods)["results"]
    found = [
        tuple(one[key] for key in ("from", "to", "images", "mae_mean")) for one in a["by_abs_yaw"]
    ]
    assert found == [(0, 30, 2, 0.5), (30, 60, 1, 2.0), (60, 90, 1, 3.0)]
    assert b["by_abs_yaw"][0]["no_answer"] == 1


def test_methods_are_compared_on_the_faces_that_all_predicted(two_methods) -> None:
    a, _ = summary(*two_methods)["results"]
    assert a["common_images"]["images"] == 3
    assert a["common_images"]["mae_deg"]["mean"] == pytest.approx(2.0)


def test_missing_predictions_count_as_frontal_heads_beside_the_coverage(two_methods) -> None:
    faces, predictions, run = two_methods
    faces[4] = face("5", [30, 0, 0])
    _, b = summary(faces, predictions, run)["results"]
    assert b["coverage"] == 0.75
    assert b["missing_as_frontal"]["mae_deg"]["yaw"] == pytest.approx(30 / 4)


def test_reasons_are_counted(two_methods) -> None:
    _, b = summary(*two_methods)["results"]
    assert b["excluded_reasons"] == {"beyond 99": 1}
    assert b["no_answer_reasons"] == {"no eyes": 1}


def test_training_on_the_test_set_is_flagged(two_methods) -> None:
    assert summary(*two_methods)["results"][0]["trained_on_this"] is True


def test_axis_without_labels_is_null_and_not_zero() -> None:
    faces = [face("1", [10, 5, NAN]), face("2", [20, 5, NAN])]
    predictions = [prediction("a", "1", [12, 5, 33]), prediction("a", "2", [20, 9, -33])]
    (found,) = summary(faces, predictions, run_json(["a"]))["results"]
    assert found["mae_deg"] == {"yaw": 1.0, "pitch": 2.0, "roll": None, "mean": 1.5}
    assert found["geodesic_deg"] == {"mean": None, "median": None}
    assert found["ced"]["error"] == "mean_angle"


def test_a_face_without_any_label_is_excluded_with_a_reason() -> None:
    faces = [face("1", [10, 5, 0]), face("2", [NAN, NAN, NAN])]
    predictions = [prediction("a", "1", [10, 5, 0]), prediction("a", "2", [0, 0, 0])]
    (found,) = summary(faces, predictions, run_json(["a"]))["results"]
    assert found["images"] == {"total": 2, "excluded": 1, "scored": 1, "no_answer": 0}
    assert found["excluded_reasons"] == {"no labelled angle": 1}


def test_summary_of_a_method_without_predictions_is_valid_json_with_nulls() -> None:
    predictions = [prediction("a", "1", None, "blind")]
    found = summary([face("1", [1, 2, 3])], predictions, run_json(["a"]))
    assert json.loads(json.dumps(found, allow_nan=False))["results"][0]["mae_deg"]["mean"] is None


def test_runtime_percentiles_come_from_the_timing_pass(two_methods) -> None:
    timing = pd.DataFrame(
        {
            "dataset": "heads", "method": "b", "image_id": "1", "prepare_ms": 1.0,
            "infer_ms": np.arange(101.0), "decode_ms": np.nan, "total_ms": np.arange(101.0) + 1,
        }
    )  # fmt: skip
    elsewhere = timing.assign(dataset="other heads", infer_ms=1e3)
    a, b = summary(*two_methods, pd.concat([timing, elsewhere]))["results"]
    assert (b["runtime_ms"]["infer"]["p50"], b["runtime_ms"]["infer"]["p95"]) == (50.0, 95.0)
    assert b["runtime_ms"]["decode"]["p50"] is None
    assert a["runtime_ms"]["total"]["p50"] is None


def test_many_data_sets_are_summed_up_in_processes_to_the_same_figures(two_methods) -> None:
    faces, predictions, run = two_methods
    names = [f"heads{number}" for number in range(8)]  # as many as are shared among processes
    many = {**run, "datasets": dict.fromkeys(names, run["datasets"]["heads"])}
    timing = pd.DataFrame(
        {"dataset": names, "method": "b", "round": 0, "total_ms": np.arange(8.0)}
    ).reindex(columns=[*NO_TIMES.columns, "round"])
    found = summary(
        [{**one, "dataset": name} for name in names for one in faces],
        [{**one, "dataset": name} for name in names for one in predictions],
        many,
        timing,
    )["results"]
    alone = summary(faces, predictions, run)["results"]
    assert [one["dataset"] for one in found] == [name for name in names for _ in alone]
    for number, one in enumerate(found):
        expected = alone[number % 2] | {"dataset": one["dataset"], "runtime_ms": one["runtime_ms"]}
        assert one == expected
    totals = [one["runtime_ms"]["total"]["p50"] for one in found if one["method_spec"] == "b"]
    assert totals == list(range(8))


def noisy_run(noise_a, noise_b, count=40, resample="image"):
    generator = np.random.default_rng(0)
    faces, predictions = [], []
    for number in range(count):
        yaw = float(generator.uniform(-60, 60))
        faces.append(face(str(number), [yaw, 0, 0], group=f"person{number % 2}"))
        for method, noise in (("a", noise_a), ("b", noise_b)):
            error = float(noise * generator.normal())
            predictions.append(prediction(method, str(number), [yaw + error, 0, 0]))
    return summary(faces, predictions, run_json(["a", "b"], resample))


def test_interval_holds_the_figure_itself() -> None:
    for one in noisy_run(1.0, 5.0)["results"]:
        low, high = one["intervals_95"]["mae_deg"]["yaw"]
        assert low < one["mae_deg"]["yaw"] < high


def test_clear_difference_is_found_and_ranked() -> None:
    found = noisy_run(1.0, 8.0)
    (pair,) = found["comparisons"]
    assert pair["p_holm"] < 0.01
    assert pair["interval_95"][1] < 0
    assert [one["rank"] for one in found["results"]] == [1, 2]


def test_equal_methods_share_the_first_rank() -> None:
    assert [one["rank"] for one in noisy_run(3.0, 3.0)["results"]] == [1, 1]


def test_two_persons_are_too_few_for_intervals_however_many_frames() -> None:
    found = noisy_run(1.0, 8.0, resample="group")
    assert found["comparisons"] == []
    assert found["results"][0]["intervals_95"] is None


def test_protocol_decides_how_angles_are_read(two_methods) -> None:
    faces, predictions, _ = two_methods
    found = summary(faces, predictions, run_json(["a[x=1]", "b"], euler="rq"))["results"]
    assert found[1]["mae_deg"]["roll"] > 5.0


def test_face_without_a_row_means_that_the_run_is_not_finished(two_methods) -> None:
    faces, predictions, run = two_methods
    with pytest.raises(DataError, match="lacks 1 of 4 faces of 'b' on 'heads'"):
        score_datasets(run_tables(faces, predictions[:-1], run))


def test_method_that_does_not_support_a_data_set_is_listed_with_its_reason(two_methods) -> None:
    faces, predictions, run = two_methods
    run["datasets"]["heads"]["not_run"] = {"b": "needs a camera"}
    found = summary(faces, predictions[:4], run)
    assert found["not_run"] == [
        {"dataset": "heads", "method_spec": "b", "reason": "needs a camera"}
    ]
    assert [one["method_spec"] for one in found["results"]] == ["a[x=1]"]


def write_folder(path, faces, predictions, run):
    path.mkdir()
    (path / "run.json").write_text(json.dumps(run))
    pd.DataFrame(faces).to_parquet(path / "faces.parquet")
    pd.DataFrame(predictions).to_parquet(path / "predictions.parquet")
    return path


def test_run_folder_is_read_back(tmp_path, two_methods) -> None:
    tables = load_run(write_folder(tmp_path / "run", *two_methods))
    assert (len(tables.faces), len(tables.predictions), len(tables.timing)) == (5, 8, 0)


def test_missing_folder_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match="nowhere: no such run folder"):
        load_run(tmp_path / "nowhere")


def test_half_written_folder_is_refused(tmp_path, two_methods) -> None:
    folder = write_folder(tmp_path / "run", *two_methods)
    (folder / "predictions.parquet").unlink()
    with pytest.raises(DataError, match="not finished; repeat its command"):
        load_run(folder)


def test_truncated_table_is_refused(tmp_path, two_methods) -> None:
    folder = write_folder(tmp_path / "run", *two_methods)
    file = folder / "faces.parquet"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match=r"faces\.parquet: corrupted"):
        load_run(folder)


def test_other_schema_is_refused(tmp_path, two_methods) -> None:
    faces, predictions, run = two_methods
    folder = write_folder(tmp_path / "run", faces, predictions, run | {"schema": 7})
    with pytest.raises(DataError, match="schema 7"):
        load_run(folder)


def test_table_without_a_column_is_refused(tmp_path, two_methods) -> None:
    folder = write_folder(tmp_path / "run", *two_methods)
    pd.DataFrame(two_methods[0]).drop(columns=list(ROTATION_COLUMNS)).to_parquet(
        folder / "faces.parquet"
    )
    with pytest.raises(DataError, match="lacks the column 'r00'"):
        load_run(folder)


def test_groups_of_one_image_each_are_images() -> None:
    faces = [face(str(k), [5 * k, 0, 0], group=f"photo {k}") for k in range(8)]
    predictions = [prediction("a", str(k), [5 * k + 3, 0, 0]) for k in range(8)]
    (found,) = summary(faces, predictions, run_json(["a"], resample="group"))["results"]
    assert found["intervals_95"]["draws"] == "image"
    # one turn for all eight, and not one for each, which would leave no error at all
    assert found["aligned"]["camera_side"]["per"] == "all"


def test_more_faces_than_one_block_have_the_errors_of_the_whole_array(monkeypatch) -> None:
    import hpbench.scoring.scores

    faces = [face(str(k), [k, -k, 2 * k]) for k in range(10)]
    predictions = [prediction("a", str(k), [k + 1, -k, 2 * k - 3]) for k in range(10)]
    whole = summary(faces, predictions, run_json(["a"]))
    monkeypatch.setattr(hpbench.scoring.scores, "_BLOCK_FACES", 3)
    assert summary(faces, predictions, run_json(["a"])) == whole


def grouped(faces_per_group: int) -> dict:
    """Result of a method that sees each of three groups through a camera turned otherwise."""
    faces, predictions = [], []
    for k in range(3 * faces_per_group):
        group = k % 3
        faces.append(face(str(k), [k % 40, 0, 0], group=f"video {group}"))
        predictions.append(prediction("a", str(k), [k % 40 + 5 * group, 0, 0]))
    (found,) = summary(faces, predictions, run_json(["a"], resample="group"))["results"]
    return found


def test_camera_is_aligned_per_sequence() -> None:
    aligned = grouped(20)["aligned"]["camera_side"]
    assert aligned["per"] == "group"
    assert aligned["mae_deg"]["mean"] == pytest.approx(0.0, abs=1e-6)


def test_turns_are_not_learnt_on_a_handful_of_faces() -> None:
    found = grouped(2)
    assert found["aligned"]["camera_side"]["per"] == "all"
    # errors of 0, 5, 10 degrees of yaw less their mean turn of 5
    assert found["aligned"]["camera_side"]["mae_deg"]["yaw"] == pytest.approx(10 / 3, abs=1e-5)


@pytest.mark.parametrize(("side", "other"), [("camera", "head"), ("head", "camera")])
def test_offset_is_removed_on_the_side_on_which_it_was_made(side, other) -> None:
    labels = np.random.default_rng(0).uniform([-60, -30, -30], [60, 30, 30], (30, 3))
    offset = rotation_from_angles([0, 12, 0])
    faces, predictions = [], []
    for k, (angles, R) in enumerate(zip(labels, rotation_from_angles(labels), strict=True)):
        faces.append(face(str(k), angles))
        R_pred = offset @ R if side == "camera" else R @ offset
        predictions.append({**prediction("a", str(k), [0, 0, 0]), **rotation_cells(R_pred)})
    (found,) = summary(faces, predictions, run_json(["a"]))["results"]
    assert found["geodesic_deg"]["mean"] == pytest.approx(12.0)
    errors = {
        name: found["aligned"][f"{name}_side"]["geodesic_deg"]["mean"] for name in (side, other)
    }
    assert errors[side] == pytest.approx(0.0, abs=1e-5)
    assert errors[other] > 1.0


def test_face_without_a_sequence_is_a_unit_of_its_own() -> None:
    groups = [*["video 1"] * 3, *["video 2"] * 3, *[""] * 5]
    faces = [face(str(k), [k, 0, 0], group=group) for k, group in enumerate(groups)]
    predictions = [prediction("a", str(k), [k + 3, 0, 0]) for k in range(11)]
    (found,) = summary(faces, predictions, run_json(["a"], resample="group"))["results"]
    assert (found["intervals_95"]["draws"], found["intervals_95"]["units"]) == ("group", 7)


def test_few_predicted_faces_have_no_interval() -> None:
    yaws = [0] * 10 + [70] * 10
    faces = [face(str(k), [yaw, 0, 0]) for k, yaw in enumerate(yaws)]
    predictions = [
        prediction("a", str(k), [yaw + 1 + 0.1 * k, 0, 0] if yaw == 0 or k < 15 else None)
        for k, yaw in enumerate(yaws)
    ]
    (found,) = summary(faces, predictions, run_json(["a"]))["results"]
    frontal, _, profile = found["intervals_95"]["by_abs_yaw"]
    assert frontal is not None
    assert profile is None  # over 5 faces
    assert found["intervals_95"]["balanced_mae_deg"] is None
    assert found["intervals_95"]["mae_deg"]["mean"] is not None


def test_turned_away_predictions_are_unknown_and_not_none_without_complete_labels() -> None:
    faces = [face(str(k), [5 * k, 0, np.nan]) for k in range(8)]
    predictions = [prediction("a", str(k), [5 * k + 100, 0, 0]) for k in range(8)]
    (found,) = summary(faces, predictions, run_json(["a"]))["results"]
    assert found["failures"] is None


def test_interval_of_profiles_in_six_of_24_sequences_is_as_wide_as_students_of_six() -> None:
    of_sequence = np.random.default_rng(5).uniform(2.0, 9.0, 24)
    faces, predictions = [], []
    for sequence, error in enumerate(of_sequence):
        for yaw in [0, 70] if sequence < 6 else [0]:
            name = f"{sequence} {yaw}"
            faces.append(face(name, [yaw, 0, 0], group=f"video {sequence}"))
            faces.append(face(f"{name} again", [yaw, 0, 0], group=f"video {sequence}"))
            predictions.append(prediction("a", name, [yaw + error, 0, 0]))
            predictions.append(prediction("a", f"{name} again", [yaw + error, 0, 0]))
    (found,) = summary(faces, predictions, run_json(["a"], resample="group"))["results"]
    low, high = found["intervals_95"]["by_abs_yaw"][2]
    half_width = t.ppf(0.975, 5) * (of_sequence[:6] / 3).std(ddof=1) / np.sqrt(6)
    assert half_width < (high - low) / 2 < 1.25 * half_width


def test_labels_without_yaw_have_no_balanced_error_and_no_interval_of_it() -> None:
    faces = [face(str(k), [NAN, 3 * k, 0]) for k in range(8)]
    predictions = [prediction("a", str(k), [0, 3 * k + k % 3, 0]) for k in range(8)]
    (found,) = summary(faces, predictions, run_json(["a"]))["results"]
    assert found["balanced_mae_deg"] is None
    assert found["intervals_95"]["balanced_mae_deg"] is None
    assert found["intervals_95"]["mae_deg"]["pitch"] is not None


def test_mistaken_convention_is_looked_for_in_512_faces_spread_over_all() -> None:
    yaws = np.full(1000, 40.0)
    yaws[evenly_spaced(1000, 512)] = 10.0
    faces = [face(str(k), [yaw, k % 30, 0]) for k, yaw in enumerate(yaws)]
    predictions = [prediction("a", str(k), [-yaw, k % 30, 0]) for k, yaw in enumerate(yaws)]
    (warning,) = summary(faces, predictions, run_json(["a"]))["warnings"]
    assert "whose mean geodesic error would fall from 20.0 to 0.0 degrees" in warning["text"]


def test_labels_from_one_side_are_not_doubted_for_a_method_that_always_says_the_same() -> None:
    """Other axes would turn "frontal" to the side of a camera at the side."""
    yaws = np.linspace(50.0, 70.0, 40)
    faces = [face(str(k), [yaw, 0, 0]) for k, yaw in enumerate(yaws)]
    predictions = [prediction("a", str(k), [0, 0, 0]) for k in range(40)]
    assert summary(faces, predictions, run_json(["a"]))["warnings"] == []


def test_all_angles_in_radians_are_named_although_they_hardly_vary_as_degrees() -> None:
    poses = [[k - 20, k % 30 - 15, k % 7] for k in range(40)]
    faces = [face(str(k), pose) for k, pose in enumerate(poses)]
    predictions = [prediction("a", str(k), list(np.radians(pose))) for k, pose in enumerate(poses)]
    (warning,) = summary(faces, predictions, run_json(["a"]))["warnings"]
    assert "angles in radians are read as degrees" in warning["text"]


def test_method_that_hardly_looks_at_the_face_is_named() -> None:
    """It predicts a tenth of yaws that lie evenly; their mean size is 2 * (2 + 4 + ... 40) / 41."""
    yaws = np.linspace(-40.0, 40.0, 41)
    faces = [face(str(k), [yaw, 0, 0]) for k, yaw in enumerate(yaws)]
    predictions = [prediction("a", str(k), [yaw / 10, 0, 0]) for k, yaw in enumerate(yaws)]
    (warning,) = summary(faces, predictions, run_json(["a"]))["warnings"]
    assert warning["code"] == "collapsed"
    assert "(on average 2.0 degrees from their mean, the labels 20.5)" in warning["text"]


def test_method_that_predicts_half_of_the_yaw_has_not_collapsed() -> None:
    yaws = np.linspace(-40.0, 40.0, 41)
    faces = [face(str(k), [yaw, 0, 0]) for k, yaw in enumerate(yaws)]
    predictions = [prediction("a", str(k), [yaw / 2, 0, 0]) for k, yaw in enumerate(yaws)]
    assert summary(faces, predictions, run_json(["a"]))["warnings"] == []


def test_warning_names_the_command_that_tells_whose_mistake_it_is() -> None:
    faces = [face(str(k), [k, k % 30, 0]) for k in range(40)]
    predictions = [prediction("a", str(k), [-k, k % 30, 0]) for k in range(40)]
    run = run_json(["a"])
    run["spec"] |= {"datasets": "heads[k=1],biwi", "data": {"biwi": "/b", "heads": "/a b"}}
    run["spec"] |= {"plugins": ["mine.py"]}
    (warning,) = summary(faces, predictions, run)["warnings"]
    command = "hpbench check a --datasets 'heads[k=1]' --data 'heads=/a b' --plugin mine.py"
    assert warning["text"].endswith(f"run: {command}")


def test_command_of_a_warning_names_a_card_with_its_folder() -> None:
    faces = [face(str(k), [k, k % 30, 0]) for k in range(40)]
    predictions = [prediction("net.toml", str(k), [-k, k % 30, 0]) for k in range(40)]
    run = run_json(["net.toml"])
    run["spec"]["methods"] = "cards/net.toml"
    (warning,) = summary(faces, predictions, run)["warnings"]
    assert "run: hpbench check cards/net.toml --datasets" in warning["text"]
