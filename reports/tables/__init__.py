"""Tables of a report, independent of the format they are written in."""
