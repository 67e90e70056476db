"""From a dataset to what is fit for training: measured, filtered, counted."""
