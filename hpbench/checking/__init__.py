"""Is a method built right: conformance checks, and what its mistakes look like."""
