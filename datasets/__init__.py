"""Room `hpbench.datasets`."""

if __name__ != "hpbench.datasets":
    raise ImportError("import this package as 'hpbench.datasets'; the folder is not a top-level package")
