"""The fastest setting that writes the same: measured on this machine, stored in the home, used wherever a model is loaded."""
