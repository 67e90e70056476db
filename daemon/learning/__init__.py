"""New versions from the dataset, by hand or by schedule: gathered, trained, held against what serves, promoted or refused."""
