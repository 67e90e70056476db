"""SQLite through SQLAlchemy: the schema and one small module for each aggregate."""
