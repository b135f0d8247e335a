"""What self-contained pages share: one look, one template engine, pictures inside the file."""

from nodulenet.pages.render import data_uri, png, render

__all__ = ["data_uri", "png", "render"]
