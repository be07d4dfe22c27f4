"""The animation of README.md and chapter 00: photo, patches, sequence, attention, answer.

    python notebooks/make_animation.py        writes docs/pictures/forward.gif

Every colour in it is the packaged model's: its picture of the photo, its tokens, its attention, its probabilities.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

import minivit
from minivit.explain.attention.maps import attention_map
from minivit.explain.patches.sequence import patch_pictures
from minivit.images.preparation import denormalise

TARGET = Path(__file__).parents[1] / "docs" / "pictures" / "forward.gif"
SIZE = 800, 500
LEFT, STRIP, HEAT, DEEP = 10, 322, 340, 80      # first token; top of the tokens; top and height of their numbers
BIG, BIG_TOP = 320, 30                          # the picture while it is cut
SMALL = 160, (40, 20)                           # the picture beside the attention
ORANGE, BLUE, INK = (213, 94, 0), (0, 114, 178), (40, 40, 40)
COLOURS = 144


class Stage:
    """A prediction as pixels, and the frames drawn so far."""

    def __init__(self, prediction, photo):
        config = prediction.model.config
        self.prediction, self.config, self.photo = prediction, config, photo
        self.picture = denormalise(prediction.x[0], prediction.model.preprocessing)                  # (H, W, 3)
        self.patches = [pixels(patch) for patch in patch_pictures(self.picture, config.patch_size)]
        self.step = (SIZE[0] - 2 * LEFT) / config.num_tokens
        self.frames, self.durations = [], []

    def show(self, image, milliseconds):
        self.frames.append(image)
        self.durations.append(milliseconds)

    def canvas(self, number, text):
        """An empty frame with its caption."""
        image = Image.new("RGB", SIZE, "white")
        draw = ImageDraw.Draw(image)
        draw.text((LEFT, SIZE[1] - 56), str(number), ORANGE, font(30, bold=True))
        draw.multiline_text((LEFT + 34, SIZE[1] - 58), text, INK, font(19), spacing=6)
        return image

    def token_box(self, token):
        left = LEFT + token * self.step
        return round(left), STRIP, round(left + self.step) - 1, STRIP + round(self.step) - 1

    def patch_box(self, patch, gap=0.0):
        """Where a patch lies in the big picture, cut apart by `gap` pixels."""
        columns = self.config.grid[1]
        row, column = divmod(patch, columns)
        side = (BIG - gap * (columns - 1)) / columns
        left = (SIZE[0] - BIG) / 2 + column * (side + gap)
        top = BIG_TOP + row * (side + gap)
        return round(left), round(top), round(left + side), round(top + side)

    def draw_tokens(self, image, values=None, grown=1.0):
        """[CLS] and the patches in a row, and below each its numbers (T, D) as far as they are grown."""
        draw = ImageDraw.Draw(image)
        draw.rectangle(self.token_box(0), ORANGE)
        for n, patch in enumerate(self.patches, start=self.config.num_tokens - self.config.num_patches):
            paste(image, patch, self.token_box(n))
        if values is not None:
            heat = Image.fromarray(signed(values.T)).resize((SIZE[0] - 2 * LEFT, DEEP), Image.Resampling.BOX)
            image.paste(heat.crop((0, 0, heat.width, round(grown * DEEP))), (LEFT, HEAT))

    def draw_attention(self, image, weights, query, strength=1.0):
        """Arcs from the token that asks to all others, the heavier the more of them it takes. weights: (T, T)."""
        twice = Image.new("RGB", (2 * SIZE[0], 2 * (STRIP - 190)), "white")
        draw, row = ImageDraw.Draw(twice), weights[query]
        middle = [2 * (LEFT + (token + 0.5) * self.step) for token in range(len(row))]
        for token in np.argsort(row, kind="stable"):
            part = strength * row[token] / row.max()
            span = sorted((middle[query], middle[token]))
            height = twice.height * (0.12 + 0.85 * (span[1] - span[0]) / (middle[-1] - middle[0]))
            colour = tuple(round(255 + part * (c - 255)) for c in ORANGE)
            if token != query and part > 0.02:
                draw.arc((span[0], twice.height - height, span[1], twice.height + height), 180, 360, colour, 4)
        image.paste(twice.resize((SIZE[0], STRIP - 190), Image.Resampling.LANCZOS), (0, 190))
        seen = attention_map(weights[None], query, self.config.grid)[0]                    # (rows, columns)
        side, corner = SMALL
        grey = np.repeat(self.picture.mean(axis=-1, keepdims=True), 3, axis=-1)
        alpha = np.kron(strength * seen / row.max(), np.ones((self.config.patch_size,) * 2))[..., None]
        mixed = grey * (1 - alpha) + np.array(ORANGE) / 255 * alpha
        paste(image, pixels(mixed), (*corner, corner[0] + side, corner[1] + side))


def font(size, bold=False):
    name = font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal"))
    return ImageFont.truetype(name, size)


def pixels(picture):
    """Floats in [0, 1] (H, W, 3) as an image."""
    return Image.fromarray(np.round(255 * picture).astype(np.uint8))


def signed(values):
    """Numbers as colours, white at zero: uint8 (..., 3)."""
    limit = np.quantile(np.abs(values), 0.98)
    return np.round(255 * matplotlib.colormaps["PuOr"](0.5 + values / (2 * limit))[..., :3]).astype(np.uint8)


def paste(image, picture, box):
    """The picture, its pixels kept square, into a box (left, top, right, bottom) of the image."""
    image.paste(picture.resize((max(1, box[2] - box[0]), max(1, box[3] - box[1])), Image.Resampling.NEAREST), box[:2])


def between(a, b, part):
    """The box a part of the way from box a to box b, slow at both ends."""
    smooth = part * part * (3 - 2 * part)
    return tuple(round(x + (y - x) * smooth) for x, y in zip(a, b))


def photo_becomes_patches(stage):
    photo, config, left = stage.photo, stage.config, (SIZE[0] - BIG) // 2
    square, N = (left, BIG_TOP, left + BIG, BIG_TOP + BIG), config.num_patches
    height = round(photo.height * 440 / photo.width)
    wide = ((SIZE[0] - 440) // 2, BIG_TOP + 10, (SIZE[0] + 440) // 2, BIG_TOP + 10 + height)
    read = f"A photo. The network reads it as {config.height_width[0]} × {config.height_width[1]} pixels."
    for i in range(7):
        image, box = stage.canvas(1, read), between(wide, square, i / 6)
        coarse = round(photo.width * (config.height_width[1] / photo.width) ** (i / 6))
        shown = photo.resize((coarse, max(1, round(coarse * (box[3] - box[1]) / (box[2] - box[0])))))
        paste(image, shown if i < 6 else pixels(stage.picture), box)
        stage.show(image, 1500 if i == 0 else 1200 if i == 6 else 130)
    for i in range(8):
        image = stage.canvas(2, f"It is cut into {N} patches of {config.patch_size} × {config.patch_size} pixels.")
        for n, patch in enumerate(stage.patches):
            paste(image, patch, stage.patch_box(n, gap=i))
        stage.show(image, 1200 if i == 7 else 90)


def patches_become_a_sequence(stage):
    first, N = stage.config.num_tokens - stage.config.num_patches, stage.config.num_patches
    text = "Row by row they become a sequence, as words make a sentence.\n[CLS], a learned token, comes first."
    for i in range(31):
        image = stage.canvas(3, text)
        if i > 24:
            ImageDraw.Draw(image).rectangle(stage.token_box(0), ORANGE)
        for n, patch in enumerate(stage.patches):
            part = np.clip(i / 8 - 2.2 * n / N, 0, 1)
            paste(image, patch, between(stage.patch_box(n, gap=7), stage.token_box(n + first), part))
        stage.show(image, 900 if i == 30 else 80)
    tokens = stage.prediction.trace["embedded"][0]
    text = f"A linear map turns each patch into {stage.config.width} numbers,\nand the numbers of its place are added."
    for i in range(1, 6):
        image = stage.canvas(4, text)
        stage.draw_tokens(image, tokens, i / 5)
        stage.show(image, 1800 if i == 5 else 100)


def tokens_look_at_each_other(stage):
    trace, config = stage.prediction.trace, stage.config
    rows, columns = config.grid
    asks = config.num_tokens - config.num_patches + (rows // 3) * columns + columns // 3
    text = ("Attention: every token collects from all tokens, from some more,\n"
            "from some less. Here one patch, in layer 1 …")
    maps = [layer.mean(axis=0) for layer in stage.prediction.attention]                     # (T, T): mean of the heads
    for i in range(1, 6):
        image = stage.canvas(5, text)
        stage.draw_tokens(image, trace["embedded"][0])
        stage.draw_attention(image, maps[0], asks, i / 5)
        ImageDraw.Draw(image).rectangle(stage.token_box(asks), outline=BLUE, width=2)
        stage.show(image, 2200 if i == 5 else 110)
    for number, weights in enumerate(maps):
        text = (f"… and here [CLS], in layer {number + 1} of {config.num_layers}. Each layer changes all tokens;\n"
                "where they look follows from the tokens and from learned weights.")
        for i in range(1, 4):
            image = stage.canvas(5, text)
            before = trace["embedded" if number == 0 else f"layer.{number - 1}.output"][0]
            stage.draw_tokens(image, before if i < 3 else trace[f"layer.{number}.output"][0])
            stage.draw_attention(image, weights, 0, i / 3)
            stage.show(image, 900 if i == 3 else 120)


def the_answer_is_read(stage):
    trace, config = stage.prediction.trace, stage.config
    answers = stage.prediction.top(5)
    text = f"After the last layer [CLS] alone is read, by one more linear map.\nThe answer: {answers[0][0]}."
    for i in range(1, 9):
        image = stage.canvas(6, text)
        stage.draw_tokens(image, trace[f"layer.{config.num_layers - 1}.output"][0])
        draw = ImageDraw.Draw(image)
        left, _, right, _ = stage.token_box(0)
        draw.rectangle((left - 3, STRIP - 3, right + 3, HEAT + DEEP + 2), outline=ORANGE, width=3)
        draw.line([((left + right) // 2, STRIP - 3), ((left + right) // 2, 150), (250, 150)], ORANGE, 3)
        draw.polygon([(250, 143), (250, 157), (264, 150)], ORANGE)
        for k, (label, p) in enumerate(answers):
            y = 60 + 40 * k
            draw.text((400, y + 13), label, INK, font(20), anchor="rm")
            draw.rectangle((412, y, 412 + round(320 * p * i / 8), y + 26), BLUE if k == 0 else (150, 180, 205))
            if i == 8:
                draw.text((420 + round(320 * p), y + 13), f"{p:.0%}", INK, font(18), anchor="lm")
        stage.show(image, 4000 if i == 8 else 80)


def animation():
    """The frames and how long each stands, in milliseconds."""
    prediction = minivit.forward(minivit.samples.CAT)
    with Image.open(minivit.samples.CAT) as photo:
        stage = Stage(prediction, photo.convert("RGB"))
    for scene in (photo_becomes_patches, patches_become_a_sequence, tokens_look_at_each_other, the_answer_is_read):
        scene(stage)
    return stage.frames, stage.durations


def shared_palette(frames):
    """A palette for all frames, from the places that have colours, and from greys."""
    cut, last_layer, answer = frames[14], frames[-9], frames[-1]
    numbers, text = (0, 20, SIZE[0], HEAT + DEEP), (0, 420, 500, 490)
    places = [(frames[0], (180, 40, 620, 340)), (cut, (240, 30, 560, 350)), (frames[-13], numbers),
              (last_layer, numbers), (answer, (380, 40, 800, 250)), (answer, text)]
    sheet = Image.new("RGB", (SIZE[0], 100 + sum(box[3] - box[1] for _, box in places)), "white")
    sheet.paste(Image.linear_gradient("L").rotate(90).resize((SIZE[0], 100)), (0, 0))
    top = 100
    for frame, box in places:
        sheet.paste(frame.crop(box), (0, top))
        top += box[3] - box[1]
    palette = sheet.quantize(COLOURS, kmeans=3, dither=Image.Dither.NONE)
    colours = np.reshape(palette.getpalette(), (-1, 3))
    colours[colours.sum(axis=1).argmax()] = 255                         # the paper's white, exactly
    palette.putpalette(colours.ravel().tolist())
    return palette


def main():
    """Write the animation, all frames in one palette, which keeps it small."""
    frames, durations = animation()
    palette = shared_palette(frames)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    frames[0].save(TARGET, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=False)
    print(f"{TARGET.name}: {len(frames)} frames, {sum(durations) / 1000:.0f} s, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
