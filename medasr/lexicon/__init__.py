"""Medical terms: the lexicon, and where its terms stand in a text."""

from medasr.lexicon.matching import Lexicon, Match, find, find_terms, load_lexicon, make_lexicon

__all__ = ["Lexicon", "Match", "find", "find_terms", "load_lexicon", "make_lexicon"]
