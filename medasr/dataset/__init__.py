"""The medical dataset: from hub, folder or manifest to utterances."""
