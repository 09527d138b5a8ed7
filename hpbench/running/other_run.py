"""How a planned run differs from the run that its folder holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hpbench.method import Method
from hpbench.protocol import content_named
from hpbench.results.run_config import RunConfig
from hpbench.results.run_record import DatasetRecord, MethodRecord, RunRecord
from hpbench.running.evaluation import Evaluation
from hpbench.storage.environment import git_revision, versions

__all__ = ["differences"]


def differences(
    record: RunRecord,
    config: RunConfig,
    evaluations: Sequence[Evaluation],
    methods: Mapping[str, Method],
    digests: Mapping[str, str],
) -> list[str]:
    """All that is not as in the run of a folder, in words, with the value there and the new one.

    Parameters
    ----------
    record : RunRecord
        Of the folder.
    config, evaluations, methods, digests
        Of the planned run; the last two by spec.
    """
    found = _changed("methods", _listed(record.methods), _listed(methods))
    found += _changed("data sets", _listed(record.datasets), _listed(o.key for o in evaluations))
    options = ["limit", "max_pixels"]
    options += ["seed"] if record.spec.corrupt and config.corrupt else []
    before, now = (
        {f"--{name.replace('_', '-')}": getattr(spec, name) for name in options} | packages
        for spec, packages in ((record.spec, record.versions), (config, versions()))
    )
    devices = str(record.hardware.get("device")), next(iter(methods.values())).device
    before["device"], now["device"] = (device.partition(":")[0] for device in devices)
    of_all = [
        said for key in {**before, **now} for said in _changed(key, before.get(key), now.get(key))
    ]
    unseen = [said for name in methods for said in _method_changes(name, record, methods, digests)]
    for one in evaluations:
        dataset = record.datasets.get(one.key)
        if dataset is not None and one.corruption is None:  # corrupted copies change with it
            given = _given(record.spec, config, dataset.name)
            protocol = _protocol_changes(dataset, one, given)
            found += protocol
            if not (of_all or protocol) and dataset.digest != one.index_key:
                unseen.append(f"data set '{one.key}': its files or code have changed{given}")
    if unseen:
        unseen += _changed("commit", record.git, git_revision())
    return [*found, *of_all, *unseen]


def _changed(what: str, before: object, now: object) -> list[str]:
    return [] if before == now else [f"{what} {_text(before)}, now {_text(now)}"]


def _text(value: object) -> str:
    return "none" if value is None else str(value)


def _listed(names: Iterable[str]) -> str:
    return f"'{','.join(names)}'"


def _given(before: RunConfig, now: RunConfig, name: str) -> str:
    """How the options differ that say where a data set is, in brackets; empty if they do not."""
    given = _changed("--datasets", before.datasets, now.datasets)
    given += _changed("--data", before.data.get(name), now.data.get(name))
    return f" ({', '.join(given)})" if given else ""


def _protocol_changes(dataset: DatasetRecord, planned: Evaluation, given: str) -> list[str]:
    found = []
    for key, before, now in dataset.protocol.differences(planned.protocol):
        if content := content_named(key):
            said = [f"the content of its {content} has changed{given}"]
        else:
            said = _changed(key, before, now)
        found += [f"data set '{planned.key}': {one}" for one in said]
    return found


def _method_changes(
    name: str, record: RunRecord, methods: Mapping[str, Method], digests: Mapping[str, str]
) -> list[str]:
    """What has changed behind the spec of a method that both runs have."""
    before: MethodRecord | None = record.methods.get(name)
    if before is None or before.digest == digests[name]:
        return []
    same = before.fingerprint == methods[name].fingerprint()
    what = "code or files" if same else "card, weights or options"
    return [f"method '{name}': its {what} have changed"]
