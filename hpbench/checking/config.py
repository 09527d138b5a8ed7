"""What ``hpbench check`` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hpbench.arguments import Config, DataFolders, DataSets, Device, Metavar, Plugins
from hpbench.results.run_config import TrustLabels

if TYPE_CHECKING:
    from hpbench.checking.conformance import CheckResult

__all__ = ["CheckConfig", "run_checks"]


class CheckConfig(Config):
    """Options of ``hpbench check`` and arguments of ``hpbench.check``."""

    method: Annotated[str, Metavar("METHOD", positional=True)] = Field(
        description="Method with options, or a card: hopenet, my_net.toml"
    )
    datasets: DataSets = Field("sample", description="Data set whose faces and labels are used.")
    data: DataFolders = Field({})
    device: Device = "auto"
    limit: int = Field(96, ge=12, description="At most N faces from all over; 12 are the fewest.")
    plugins: Plugins = ()
    trust_labels: TrustLabels = False


def run_checks(config: CheckConfig) -> list[CheckResult]:
    """Run every check on a method; it must be possible to make and load it at all."""
    from hpbench.checking.conformance import check_method
    from hpbench.inference.devices import resolve_device
    from hpbench.registry import make_method
    from hpbench.running.data_folders import open_named

    device = resolve_device(config.device)
    return check_method(
        lambda: make_method(config.method, device, config.plugins),
        open_named(config.datasets, config.data, config.plugins),
        config.limit,
        trust_labels=config.trust_labels,
    )
