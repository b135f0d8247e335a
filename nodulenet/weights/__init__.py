"""The bundled detector: a small network trained on synthetic CT alone (docs/model_card.md)."""

from pathlib import Path

BUNDLED = Path(__file__).with_name("detector.safetensors")
"""Its exported weights; `detector.json` beside them is their card."""

BUNDLED_NAME = "bundled detector, trained on synthetic CT alone"


def weights_name(path: Path) -> str:
    """What a weights file is called in results: its path, but for the bundled detector."""
    return BUNDLED_NAME if path == BUNDLED else str(path)
