"""Ways to spread the accuracy pass over more than one machine."""
