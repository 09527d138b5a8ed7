"""The data sets: package `hpbench.datasets`."""

if __name__ != "hpbench.datasets":
    raise ImportError("import this package as 'hpbench.datasets'; it is no top-level package")
