from __future__ import annotations

import json
import pickle
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ldm.data.batches import batch_indices
from ldm.data.datasets import Crops, Folder
from ldm.data.pictures import check_out, save, upright, whole
from ldm.data.scenes.config import EASY
from ldm.data.scenes.dataset import Scenes


def picture(path, size=(40, 20), colour=(200, 30, 30)):
    Image.new("RGB", size, colour).save(path, "PNG")


def jsonl(folder, *rows):
    text = "\n".join(json.dumps(row) for row in rows)
    (folder / "metadata.jsonl").write_text(text + "\n", encoding="utf-8")


@pytest.mark.parametrize("n", [1, 2, 5, 64, 1000, 1025])
def test_every_epoch_is_a_permutation_whatever_the_batch(n):
    places = np.concatenate([batch_indices(0, step, 48, n) for step in range(-(-3 * n // 48))])
    epochs = places[: 3 * n].reshape(3, n)
    assert (np.sort(epochs, axis=1) == np.arange(n)).all()
    if n >= 64:
        assert not np.array_equal(epochs[0], epochs[1])
        assert not np.array_equal(epochs[0], np.arange(n))


def test_a_batch_is_a_function_of_the_step_and_of_nothing_else():
    whole = batch_indices(7, 0, 600, 100)
    assert np.array_equal(whole[450:480], batch_indices(7, 15, 30, 100))  # spans no epoch
    assert np.array_equal(whole[90:120], batch_indices(7, 3, 30, 100))  # spans two
    assert whole.dtype == np.int64
    assert not np.array_equal(whole, batch_indices(8, 0, 600, 100))


def test_permutations_are_about_uniform():
    orders = Counter(tuple(batch_indices(1, step, 4, 4)) for step in range(4800))
    assert len(orders) == 24 and min(orders.values()) > 120 and max(orders.values()) < 290
    firsts = Counter(int(batch_indices(seed, 0, 1, 10)[0]) for seed in range(2000))
    assert len(firsts) == 10 and min(firsts.values()) > 130 and max(firsts.values()) < 280


@pytest.mark.parametrize("step, batch, n", [(-1, 4, 4), (0, 0, 4), (0, 4, 0)])
def test_impossible_batches_are_refused(step, batch, n):
    with pytest.raises(ValueError, match=f"step={step}, batch={batch}, n={n}"):
        batch_indices(0, step, batch, n)


def test_a_folder_gives_square_pictures_and_their_captions(tmp_path):
    (tmp_path / "sub").mkdir()
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 10:30] = 255  # the central square is white
    Image.fromarray(image).save(tmp_path / "sub" / "a.png")
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "b.png")
    jsonl(
        tmp_path,
        {"file_name": "sub/a.png", "text": "a white square"},
        {"file_name": "b.png", "text": " nothing at all "},
    )
    data = Folder(tmp_path, 16)
    assert len(data) == 2 and data.captions([1, 0]) == ["nothing at all", "a white square"]
    pixels, text = data.item(0)
    assert pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8 and pixels.min() == 255
    assert text == "a white square"
    assert data.images([0, 1]).min() == 255, "transparent parts become white"


def test_csv_and_jsonl_mean_the_same(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        picture(folder / "a.png")
    jsonl(one, {"file_name": "a.png", "text": "red, plain"})
    (two / "metadata.csv").write_text('file_name,text\na.png,"red, plain"\n', encoding="utf-8")
    assert Folder(one, 16).item(0)[1] == Folder(two, 16).item(0)[1] == "red, plain"
    assert Folder(one, 16).key == Folder(two, 16).key != Folder(one, 32).key


def test_a_photograph_taken_sideways_is_turned_upright(tmp_path):
    image = Image.new("RGB", (16, 16), "black")
    image.paste("white", (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "a.png", exif=exif)
    jsonl(tmp_path, {"file_name": "a.png", "text": "half"})
    pixels = Folder(tmp_path, 16).item(0)[0]
    assert pixels[0].max() == 0 and pixels[-1].min() == 255


def sixteen(path, **options):
    levels = np.full((2, 3), 30_000, np.uint16)
    levels[0, 0] = 500
    Image.fromarray(levels).save(path, **options)


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_of_sixteen_bit_grey_the_higher_half_is_read(tmp_path, ending):
    sixteen(tmp_path / f"a.{ending}")
    pixels = whole(tmp_path / f"a.{ending}")
    assert (pixels[1] == 117).all() and (pixels[0, 0] == 2).all()


def test_sixteen_bit_grey_may_be_transparent_and_lie_on_its_side(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    sixteen(tmp_path / "a.png", transparency=500, exif=exif)
    pixels = whole(tmp_path / "a.png")
    assert pixels.shape == (3, 2, 3) and (pixels[0, 1] == 255).all() and (pixels[1] == 117).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "LAB"])
def test_every_mode_is_read_as_its_colour(tmp_path, mode):
    """A TIFF holds them all."""
    picture = Image.new("RGB", (3, 2), (255, 255, 255) if mode == "1" else (117, 117, 117))
    if mode == "LAB":
        picture = Image.new("LAB", (3, 2), (125, 128, 128))  # middle grey
    (picture.quantize(2) if mode == "P" else picture.convert(mode)).save(tmp_path / "a.tiff")
    with Image.open(tmp_path / "a.tiff") as file:
        assert file.mode == mode
    assert np.abs(whole(tmp_path / "a.tiff").astype(int) - (255 if mode == "1" else 117)).max() <= 1


def test_grey_premultiplied_with_its_transparency_is_read_as_its_colour():
    assert (upright(Image.new("LA", (3, 2), (117, 255)).convert("La")) == 117).all()


@pytest.mark.parametrize(
    "pixels, options",
    [
        (np.full((2, 3), 30_000, np.int32), {}),
        (np.full((2, 3), 0.5, np.float32), {}),
        (np.full((2, 3), 30_000, np.uint16), {"tiffinfo": {262: 0}}),  # white is 0
    ],
)
def test_pixels_without_a_known_black_and_white_are_refused_by_their_mode(tmp_path, pixels, options):
    Image.fromarray(pixels).save(tmp_path / "a.tiff", **options)
    with Image.open(tmp_path / "a.tiff") as file:
        mode = file.mode
    with pytest.raises(ValueError, match=f"mode {mode}.*; save it with 8 bits"):
        whole(tmp_path / "a.tiff")


@pytest.mark.parametrize("ending", ["png", "JPG", "jpeg", "webp"])
def test_a_picture_is_saved_as_its_ending_says(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    check_out(path, 30, 20)
    save(path, np.full((20, 30, 3), 117, np.uint8))
    with Image.open(path) as file:
        assert file.format == {"png": "PNG", "webp": "WEBP"}.get(ending, "JPEG")
    assert np.abs(whole(path).astype(int) - 117).max() <= 1


def test_a_picture_that_is_too_long_for_its_format_is_refused_before_it_is_drawn(tmp_path):
    check_out(tmp_path / "a.png", 20_000, 1)
    with pytest.raises(ValueError, match="a.webp: 20000 x 1 pixels cannot be saved so .*; choose .png"):
        check_out(tmp_path / "a.webp", 20_000, 1)


def test_a_changed_picture_changes_the_key(tmp_path):
    picture(tmp_path / "a.png")
    jsonl(tmp_path, {"file_name": "a.png", "text": "red"})
    before = Folder(tmp_path, 16).key
    picture(tmp_path / "a.png", colour=(30, 30, 200))
    assert Folder(tmp_path, 16).key != before


def test_a_folder_and_scenes_have_the_same_interface(tmp_path):
    picture(tmp_path / "a.png")
    jsonl(tmp_path, {"file_name": "a.png", "text": "red"})
    for data in (Folder(tmp_path, 64), Scenes(EASY, "train", 1)):
        pixels, text = data.item(0)
        assert len(data) == 1 and isinstance(data.key, str)
        assert np.array_equal(data.images(np.array([0]))[0], pixels)
        assert data.captions(np.array([0])) == [text]


def broken_picture(folder):
    (folder / "a.png").write_bytes(b"no picture")
    jsonl(folder, {"file_name": "a.png", "text": "red"})
    return "a.png: not a readable picture"


def empty_picture(folder):
    (folder / "a.png").write_bytes(b"")
    jsonl(folder, {"file_name": "a.png", "text": "red"})
    return "a.png: not a readable picture (it is empty)"


def cut_off_picture(folder):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(folder / "a.jpg")
    content = (folder / "a.jpg").read_bytes()
    (folder / "a.jpg").write_bytes(content[: len(content) // 2])
    jsonl(folder, {"file_name": "a.jpg", "text": "red"})
    return "a.jpg: not a readable picture"


def missing_picture(folder):
    jsonl(folder, {"file_name": "gone.png", "text": "red"})
    return "gone.png' does not exist"


def missing_column(folder):
    picture(folder / "a.png")
    (folder / "metadata.csv").write_text("file_name,caption\na.png,red\n", encoding="utf-8")
    return "metadata.csv, line 2: no text; this row's columns are: file_name, caption"


def empty_caption(folder):
    picture(folder / "a.png")
    jsonl(folder, {"file_name": "a.png", "text": " "})
    return "metadata.jsonl, line 1: no text"


def no_rows(folder):
    (folder / "metadata.csv").write_text("file_name,text\n", encoding="utf-8")
    return "metadata.csv: no rows"


def no_metadata(folder):
    picture(folder / "a.png")
    return "found neither"


def two_metadata(folder):
    (folder / "metadata.csv").write_text("file_name,text\n", encoding="utf-8")
    jsonl(folder, {})
    return "found both"


def no_json(folder):
    (folder / "metadata.jsonl").write_text('{"file_name": ', encoding="utf-8")
    return "metadata.jsonl, line 1: not JSON"


def a_list(folder):
    jsonl(folder, ["a.png", "red"])
    return "line 1: expected an object"


def not_utf8(folder):
    (folder / "metadata.csv").write_bytes("file_name,text\na.png,é\n".encode("latin-1"))
    return "metadata.csv: not UTF-8"


def too_many_fields(folder):
    picture(folder / "a.png")
    (folder / "metadata.csv").write_text("file_name,text\na.png,hello, there\n", encoding="utf-8")
    return "metadata.csv, line 2: 3 fields, where the header has 2; put a caption with commas in quotes"


def open_quote(folder):
    picture(folder / "a.png")
    (folder / "metadata.csv").write_text('file_name,text\na.png,"hello\na.png,there\n', encoding="utf-8")
    return "metadata.csv, from line 2 on: not CSV (unexpected end of data)"


def endless_field(folder):
    (folder / "metadata.csv").write_text(f"file_name,text\na.png,{'a' * 200_000}\n", encoding="utf-8")
    return "metadata.csv, from line 2 on: not CSV (field larger than field limit"


def column_twice(folder):
    (folder / "metadata.csv").write_text("file_name,text,text\na.png,red,blue\n", encoding="utf-8")
    return "metadata.csv, line 1: a column is there twice"


def nul_in_a_name(folder):
    jsonl(folder, {"file_name": "a\0.png", "text": "red"})
    return "metadata.jsonl, line 1: "


def endless_name(folder):
    jsonl(folder, {"file_name": "a" * 300, "text": "red"})
    return "metadata.jsonl, line 1: file_name 'aaa"


def half_a_character(folder):
    picture(folder / "a.png")
    (folder / "metadata.jsonl").write_text(r'{"file_name": "a.png", "text": "red \ud83d"}')
    return "metadata.jsonl, line 1: text is 'red \\ud83d', which holds half a character"


def absolute(folder):
    picture(folder / "a.png")
    jsonl(folder, {"file_name": str(folder / "a.png"), "text": "red"})
    return "outside the folder"


def outside(folder):
    picture(folder.parent / "secret.png")
    jsonl(folder, {"file_name": "../secret.png", "text": "red"})
    return "outside the folder"


@pytest.mark.parametrize(
    "fault",
    [
        broken_picture,
        empty_picture,
        cut_off_picture,
        missing_picture,
        missing_column,
        empty_caption,
        no_rows,
        no_metadata,
        two_metadata,
        no_json,
        a_list,
        not_utf8,
        too_many_fields,
        open_quote,
        endless_field,
        column_twice,
        nul_in_a_name,
        endless_name,
        half_a_character,
        absolute,
        outside,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_faulty_folder_is_refused_at_once_and_by_name(tmp_path, fault):
    folder = tmp_path / "pictures"
    folder.mkdir()
    says = fault(folder)
    with pytest.raises(ValueError) as error:
        Folder(folder, 16)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_missing_folder_is_named_and_a_file_is_called_a_file(tmp_path):
    picture(tmp_path / "a.png")
    for read in (lambda path: Folder(path, 16), lambda path: Crops(path, 8, 10)):
        with pytest.raises(ValueError, match="gone: no such folder"):
            read(tmp_path / "gone")
        with pytest.raises(ValueError, match="a.png: is a file, not a folder"):
            read(tmp_path / "a.png")


def test_pictures_may_be_links_out_of_the_folder(tmp_path):
    """As the snapshots of data sets are: names here, contents in a store."""
    picture(tmp_path / "0123abcd")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot/a.png").symlink_to("../0123abcd")
    jsonl(tmp_path / "snapshot", {"file_name": "a.png", "text": "red"})
    assert len(Folder(tmp_path / "snapshot", 16)) == 1


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_line_of_json_ends_at_a_newline_alone(tmp_path, separator):
    picture(tmp_path / "a.png")
    row = json.dumps({"file_name": "a.png", "text": f"red{separator}and plain"}, ensure_ascii=False)
    (tmp_path / "metadata.jsonl").write_bytes(f"{row}\r\n{row}".encode())
    assert Folder(tmp_path, 16).captions([0, 1]) == [f"red{separator}and plain"] * 2


def gradient(path, width, height):
    """A picture whose colour says where in it one is."""
    y, x = np.mgrid[:height, :width]
    Image.fromarray(np.stack([x, y, 0 * x], -1).astype(np.uint8)).save(path)


def test_crops_are_cut_from_all_pictures_in_turn_at_places_of_their_own(tmp_path):
    gradient(tmp_path / "a.png", 40, 30)
    gradient(tmp_path / "b.PNG", 8, 8)
    (tmp_path / "notes.txt").write_text("no picture")
    crops = Crops(tmp_path, 8, 600)
    assert len(crops) == 600 and crops.captions([0, 1]) == ["", ""]
    first = crops.images(range(0, 600, 2))
    left, top = first[:, 0, 0, 0].astype(int), first[:, 0, 0, 1].astype(int)
    assert np.array_equal(first[:, 7, 7, :2], np.stack([left + 7, top + 7], 1))  # a crop, not a resize
    assert set(left) == set(range(33)) and set(top) == set(range(23))  # the border is reached on both sides
    assert (crops.images(range(1, 600, 2)) == crops.item(1)[0]).all()
    assert np.array_equal(crops.item(4)[0], first[2])
    assert len({Crops(tmp_path, 8, 600).key, Crops(tmp_path, 8, 600, seed=1).key, Crops(tmp_path, 7, 600).key}) == 3
    assert Crops(tmp_path, 8, 600).key == crops.key
    assert np.array_equal(pickle.loads(pickle.dumps(crops.images))(range(3)), crops.images(range(3))), (
        "another process cannot cut them"
    )


@pytest.mark.parametrize(
    "fault, sentence",
    [
        (lambda f: None, "no PNG, JPEG or WebP file"),
        (lambda f: (f / "a.png").write_bytes(b"no picture"), "a.png: not a readable picture"),
        (lambda f: gradient(f / "a.png", 40, 7), "a.png is 40 x 7 pixels, too small for crops of 8"),
    ],
)
def test_a_folder_that_cannot_be_cut_is_refused_at_once(tmp_path, fault, sentence):
    fault(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        Crops(tmp_path, 8, 10)
