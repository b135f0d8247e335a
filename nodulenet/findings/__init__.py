"""The nodules of a person's CT: found, measured, and written for people and for viewers."""
