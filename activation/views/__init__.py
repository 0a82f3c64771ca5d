"""The pages of the Activation API: a project's switch, its syncs, the organisation's destinations."""
