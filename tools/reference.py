"""Write the parts of the documentation that follow from code: docs/schemas, the metrics table.

python tools/reference.py
"""

from __future__ import annotations

import json
from pathlib import Path

from hpbench.results.explain_file import ExplainFile
from hpbench.results.results_file import ResultsFile
from hpbench.results.run_record import RunRecord
from hpbench.results.timing_record import TimingRecord
from hpbench.scoring.registry import METRICS

DOCS = Path(__file__).resolve().parents[1] / "docs"
FILES = (RunRecord, TimingRecord, ResultsFile, ExplainFile)
BEGIN, END = "edit the entry there. -->\n\n", "\n<!-- metrics table: end -->"


def generated() -> dict[Path, str]:
    """Text of every generated file."""
    found = {
        DOCS / "schemas" / model.file_name: json.dumps(
            model.model_json_schema(mode="serialization"), indent=2
        )
        + "\n"
        for model in FILES
    }
    page = DOCS / "metrics.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    return found | {page: before + BEGIN + metrics_table() + END + rest.partition(END)[2]}


def metrics_table() -> str:
    """Table of hpbench's own metrics."""
    direction = {"low": "lower", "high": "higher", None: "closer to 0"}
    rows = [
        f"| `{one.name}` | `{one.short}` | {one.title} | {one.unit} | {direction[one.better]} "
        f"| {one.help} |"
        for one in METRICS
    ]
    head = "| key in `results.json` | in `--fail-if` | in reports | unit | better | meaning |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
