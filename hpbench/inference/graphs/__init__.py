"""Networks in files of any format: what goes in, what comes out, and running them."""

from __future__ import annotations

from hpbench.inference.graphs.base import Graph, TensorInfo
from hpbench.inference.graphs.files import FORMATS, graph_files, open_graph

__all__ = ["FORMATS", "Graph", "TensorInfo", "graph_files", "open_graph"]
