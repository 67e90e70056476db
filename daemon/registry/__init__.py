"""Versions of the model: their files, their names, which of them serves, and every act that changes that."""
