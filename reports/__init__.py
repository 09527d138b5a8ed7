"""Room `hpbench.reports`."""

if __name__ != "hpbench.reports":
    raise ImportError("import this package as 'hpbench.reports'; the folder is not a top-level package")
