"""From camera frames to instances and clouds: the online flow, in reading order of the pipeline."""
