"""The methods: package `hpbench.methods`."""

if __name__ != "hpbench.methods":
    raise ImportError("import this package as 'hpbench.methods'; it is no top-level package")
