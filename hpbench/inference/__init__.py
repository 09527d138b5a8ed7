"""One face or one batch through a method, whatever runs the network."""
