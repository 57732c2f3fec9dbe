"""What a model, a data set or a run of the nodes is worth, measured."""
