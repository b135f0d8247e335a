"""The nodules of one CT: detection, measurement, and output for people and for viewers."""
