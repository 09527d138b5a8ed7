"""What labels and boxes of a data set look like: whether they can be what they are taken for."""
