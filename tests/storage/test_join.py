"""Parts of a run joined in order: the table of a sort in memory, without its memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpbench.errors import DataError
from hpbench.storage import join
from hpbench.storage.join import join_parts, matching_rows, write_batches

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("dataset", "image_id", "method")] + [("x", pa.float64())]
)


@pytest.fixture(autouse=True)
def few_rows_at_once(monkeypatch):
    monkeypatch.setattr(join, "ROWS_AT_ONCE", 16)


def write_parts(folder, rows: pd.DataFrame, size: int) -> list:
    paths = []
    for start in range(0, len(rows), size):
        paths.append(folder / f"part-{start:06d}.parquet")
        part = pa.Table.from_pandas(rows[start : start + size], SCHEMA, preserve_index=False)
        pq.write_table(part, paths[-1])
    return paths


def rows_of(faces: int, datasets=("b", "a"), methods=("m", "k")) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (dataset, f"face {number}", method, float(number))
            for dataset in datasets
            for number in range(faces)
            for method in methods
        ],
        columns=SCHEMA.names,
    )


def ids_of(faces: int, datasets=("b", "a")) -> dict[str, pa.Array]:
    return {name: pa.array([f"face {number}" for number in range(faces)]) for name in datasets}


def test_parts_in_any_order_give_the_table_of_a_stable_sort(tmp_path):
    rows = rows_of(50)
    shards = np.random.default_rng(0).permutation(200 // 10)  # as a cluster finishes them
    mixed = pd.concat([rows[10 * k : 10 * k + 10] for k in shards], ignore_index=True)
    target = tmp_path / "joined.parquet"
    join_parts(write_parts(tmp_path, mixed, 7), ids_of(50), target, SCHEMA)
    place = {("b", f"face {n}"): n for n in range(50)}
    place |= {("a", f"face {n}"): 50 + n for n in range(50)}
    key = mixed[["dataset", "image_id"]].apply(tuple, axis=1).map(place)
    expected = mixed.iloc[np.argsort(key.to_numpy(), kind="stable")].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(target), expected)


def test_face_that_the_data_set_lacks_is_named(tmp_path):
    parts = write_parts(tmp_path, rows_of(5), 4)
    with pytest.raises(DataError, match="holds the face 'face 3' that data set 'b' lacks"):
        join_parts(parts, ids_of(3), tmp_path / "joined.parquet", SCHEMA)
    assert not (tmp_path / "joined.parquet").exists()


def test_run_without_any_part_gives_an_empty_table(tmp_path):
    join_parts([], {}, tmp_path / "joined.parquet", SCHEMA)
    assert pq.read_table(tmp_path / "joined.parquet").schema.equals(SCHEMA)


def peak_bytes(tmp_path, faces: int) -> int:
    """Most memory that Arrow holds at once while parts are joined."""
    parts = write_parts(tmp_path, rows_of(faces), 16)
    ids, before = ids_of(faces), pa.default_memory_pool()
    pool = pa.proxy_memory_pool(pa.system_memory_pool())
    pa.set_memory_pool(pool)
    try:
        join_parts(parts, ids, tmp_path / "joined.parquet", SCHEMA)
    finally:
        pa.set_memory_pool(before)
    return pool.max_memory()


def test_memory_of_a_join_does_not_grow_with_the_columns_of_the_table(tmp_path):
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    few, many = peak_bytes(tmp_path / "few", 200), peak_bytes(tmp_path / "many", 1600)
    # names and places of the rows, some dozens of bytes each, may be held; not the rows
    rows = 4 * (1600 - 200)
    assert (many - few) / rows < 150


def test_matching_rows_are_those_of_a_filter(tmp_path):
    rows = rows_of(40)
    table = pa.Table.from_pandas(rows, SCHEMA, preserve_index=False)
    write_batches(tmp_path / "all.parquet", SCHEMA, [table])
    found = pa.concat_tables(
        matching_rows(tmp_path / "all.parquet", {"dataset": "a", "method": "k"})
    )
    expected = rows[(rows["dataset"] == "a") & (rows["method"] == "k")][["image_id", "x"]]
    pd.testing.assert_frame_equal(found.to_pandas(), expected.reset_index(drop=True))


def test_rows_of_nobody_are_none(tmp_path):
    table = pa.Table.from_pandas(rows_of(3), SCHEMA, preserve_index=False)
    write_batches(tmp_path / "all.parquet", SCHEMA, [table])
    assert list(matching_rows(tmp_path / "all.parquet", {"dataset": "c"})) == []
