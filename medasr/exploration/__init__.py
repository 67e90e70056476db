"""What a dataset looks like: figures and plots in one report."""
