"""The report as one HTML file that needs nothing else: no script, no network, pictures within."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

from medasr.exploration.findings import findings

if TYPE_CHECKING:
    from medasr.exploration.plots import Picture
    from medasr.exploration.survey import Survey

TEMPLATE = "exploration.html.jinja"
#: Ambiguous texts and dropped entries listed at most; exploration.json has all.
LISTED = 50


def render(survey: Survey, pictures: Sequence[Picture]) -> str:
    """Give the page; everything that comes from the dataset is escaped."""
    from jinja2 import Environment, StrictUndefined

    source = resources.files("medasr.data").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(
        survey=survey,
        findings=findings(survey),
        pictures=[(picture, base64.b64encode(picture.png).decode()) for picture in pictures],
        ambiguous=survey.ambiguous[:LISTED],
        dropped=survey.preparation.dropped[:LISTED],
        listed=LISTED,
    )
