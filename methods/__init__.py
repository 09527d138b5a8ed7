"""Room `hpbench.methods`."""

if __name__ != "hpbench.methods":
    raise ImportError("import this package as 'hpbench.methods'; the folder is not a top-level package")
