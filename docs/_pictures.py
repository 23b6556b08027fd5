"""What is drawn on pictures: the mouse, which no grab of a window holds, and captions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

_ARROW = [(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12)]
_GAP = 12  # pixels between pictures beside each other


def with_mouse(
    picture: Image.Image, place: tuple[float, float], *, pressed: bool = False, scale: float = 1.3
) -> Image.Image:
    """Draw an arrow whose tip is at a place (x, y), in a ring while a button is pressed."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    x, y = place
    if pressed:
        radius = 13 * scale
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline="white", width=3)
    arrow = [(x + scale * dx, y + scale * dy) for dx, dy in _ARROW]
    draw.polygon(arrow, fill="white", outline="black", width=2)
    return picture


def with_caption(picture: Image.Image, text: str, *, keys: str = "") -> Image.Image:
    """Draw a line of text at the foot of a picture, with keys that are held before it."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture, "RGBA")
    font = _font(22)
    width, height = picture.size
    said = draw.textlength(text, font)
    cap = draw.textlength(keys, font) + 20 if keys else 0
    left = (width - said - cap - (12 if keys else 0)) / 2
    top = height - 52
    around = (left - 18, top - 6, width - left + 18, top + 34)
    draw.rounded_rectangle(around, radius=10, fill=(0, 0, 0, 200))
    if keys:
        draw.rounded_rectangle((left, top, left + cap, top + 28), radius=6, fill="white")
        draw.text((left + 10, top + 14), keys, fill="black", font=font, anchor="lm")
        left += cap + 12
    draw.text((left, top + 14), text, fill="white", font=font, anchor="lm")
    return picture


def beside(*pictures: Image.Image) -> Image.Image:
    """Return pictures beside each other, their tops aligned."""
    width = sum(picture.width for picture in pictures) + _GAP * (len(pictures) - 1)
    height = max(picture.height for picture in pictures)
    whole = Image.new("RGB", (width, height), "white")
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width + _GAP
    return whole


def _font(size: int) -> FreeTypeFont | BitmapFont:
    return ImageFont.load_default(size)
