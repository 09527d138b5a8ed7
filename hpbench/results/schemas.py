"""JSON Schemas of all files of a run folder, as committed in ``docs/schemas``.

``python -m hpbench.results.schemas docs/schemas`` writes them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hpbench.results.explain_file import ExplainFile
from hpbench.results.json_file import JsonFile
from hpbench.results.results_file import ResultsFile
from hpbench.results.run_record import RunRecord
from hpbench.results.timing_record import TimingRecord

__all__ = ["FILES", "json_schema"]

FILES: tuple[type[JsonFile], ...] = (RunRecord, TimingRecord, ResultsFile, ExplainFile)


def json_schema(model: type[JsonFile]) -> str:
    """Text of the JSON Schema of a file."""
    return json.dumps(model.model_json_schema(mode="serialization"), indent=2) + "\n"


if __name__ == "__main__":
    for model in FILES:
        (Path(sys.argv[1]) / model.file_name).write_text(json_schema(model), encoding="utf-8")
