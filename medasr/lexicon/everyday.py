"""English that looks medical and is not: words no lexicon may claim, and phrases in which a medical word means something else."""

from __future__ import annotations

#: A lexicon that names one of these alone is refused; a plural or a spelling that turns out to be one of them is not used.
EVERYDAY_WORDS = frozenset(
    """
    a about after again ago ah all also always am an and any anything are as at away bad be because bed been before being
    better big but by came can car clinic come cool could day days did do doctor does doing done dont down each eat else
    even ever every family fat feel few find fine first food for from full get getting give go going good got great had
    happy hard has have he help her here him his home hospital hot hour hours how hurry i if im in into is it its job just
    keep kind know last left less let life like little long look lot made make man many march may maybe me mean medicine
    might minute minutes miss month months more morning most move mr mrs ms much must my name need never new next nice night
    no none normal not nothing now nurse of off oh ok okay old on once one only or other our out over patient patients
    people pet place please problem put really right said same say see she should sit sleep so some something soon start
    still stop such sure take talk tell than thank thanks that the their them then there these they thing think this those
    time to today told tomorrow too took try turn two uh um under up us use very walk want was water way we week weeks well
    went were what when where which while who why will with woman work would yeah year years yes yesterday yet you your
    """.split()  # noqa: SIM905 - a literal of strings would take pages
)

#: Found like terms, the longest first, and then passed over.
IDIOMS = (
    "back and forth",
    "by heart",
    "chewing gum",
    "cold drink",
    "cold weather",
    "eye to eye",
    "face to face",
    "face up to",
    "foot of the bed",
    "foot of the stairs",
    "foot the bill",
    "give me a hand",
    "hand in hand",
    "hands on",
    "head of department",
    "head of the department",
    "head start",
    "head to head",
    "heart of the matter",
    "heart to heart",
    "hip hop",
    "joint venture",
    "keep an eye",
    "keeping an eye",
    "on the one hand",
    "on the other hand",
    "out of hand",
    "second hand",
)
