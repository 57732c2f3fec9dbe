"""What a data set holds: frames that are checked, and how its depth looks."""
