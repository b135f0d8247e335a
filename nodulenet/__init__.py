"""NoduleNet for LIDC-IDRI: annotations and CT in, cross-validated nodules and FROC out."""

__version__ = "0.1.0"
