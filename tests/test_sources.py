"""A base is its content: rows in any order, encoded in any way; a changed pixel is named."""

import re

import numpy as np
import pytest
from toys import toy_images, write_toy

from lotterybench import keyrings, manifests
from lotterybench.errors import BadData, BadRecord, BadRequest, UnknownName
from lotterybench.keyrings import canonical_order, pixel_key, short
from lotterybench.records import SPLITS
from lotterybench.sources import KNOWN, images, origin_of, pin, source


def rewrite(data, change, **options):
    """Replace the toy copy by one made from changed arrays; the test split stays in front."""
    pixels, labels = toy_images()
    pixels, labels = change(pixels.copy(), labels.copy())
    for file in (data / "toy").iterdir():
        file.unlink()
    write_toy(data / "toy", pixels, labels, **options)


def shuffled(pixels, labels):
    rng = np.random.default_rng(1)
    order = np.concatenate([rng.permutation(20), 20 + rng.permutation(len(labels) - 20)])
    return pixels[order], labels[order]


def test_canonical_order_is_by_key_then_label():
    keys = [b"\x02" * 32, b"\x01" * 32, b"\x01" * 32, b"\xff" * 32]
    order = canonical_order(keys, np.array([0, 5, 3, 1]))
    assert order.tolist() == [2, 1, 0, 3]
    assert short(keys).tolist() == [int.from_bytes(key[:8], "big") for key in keys]


@pytest.mark.parametrize("encode", ["png", "webp", "bmp", "tiff"])
def test_rows_may_be_shuffled_and_encoded_anew(toy, encode):
    data, _ = toy
    before = {split: images("toy", split) for split in SPLITS}
    rewrite(data, shuffled, encode=encode)
    for split in SPLITS:
        after = images("toy", split)
        np.testing.assert_array_equal(after.pixels, before[split].pixels)
        np.testing.assert_array_equal(after.labels, before[split].labels)


def test_canonical_order_ascends(toy):
    for split in SPLITS:
        found = images("toy", split)
        keys = [pixel_key(image) for image in found.pixels]
        assert keys == sorted(keys)
        np.testing.assert_array_equal(short(keys), manifests.load_keyring("toy").keys[split])


def test_one_changed_pixel_is_named(toy):
    data, _ = toy

    def change(pixels, labels):
        pixels[20 + 7, 3, 4, 1] ^= 1
        return pixels, labels

    rewrite(data, change)
    with pytest.raises(BadData, match=r"train row 7 \(train-7.png\) has other content") as info:
        images("toy", "train")
    assert re.search(r"; missing: keyring position \d+ \(key [0-9a-f]{16}\)$", str(info.value))
    assert "\n" not in str(info.value)
    images("toy", "test")


def test_a_changed_label_is_named(toy):
    data, _ = toy

    def change(pixels, labels):
        labels[20 + 5] = (labels[20 + 5] + 1) % 3
        return pixels, labels

    rewrite(data, change)
    with pytest.raises(BadData, match=r"train row 5 \(train-5.png\) has another label"):
        images("toy", "train")


def test_a_missing_row_is_named(toy):
    data, _ = toy
    rewrite(data, lambda pixels, labels: (pixels[:-1], labels[:-1]))
    with pytest.raises(BadData, match=r"missing: keyring position \d+"):
        images("toy", "train")


def test_many_differences_are_counted(toy):
    data, _ = toy
    rewrite(data, lambda pixels, labels: (255 - pixels, labels))
    with pytest.raises(BadData, match="and 35 more"):
        images("toy", "train")


def test_duplicates_keep_their_places(tmp_path, monkeypatch):
    """Exact duplicates, even with two labels, resolve: keys are a multiset."""
    pixels, labels = toy_images()
    pixels[30] = pixels[31] = pixels[40]
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    write_toy(tmp_path / "toy", pixels, labels)
    base, keyring = pin(origin_of(str(tmp_path / "toy")))
    manifests.save_base(base, keyring, tmp_path / "subsets")
    assert len(np.unique(keyring.keys["train"])) == len(keyring.keys["train"]) - 2
    assert sorted(images("toy", "train").labels) == sorted(labels[20:])


def test_an_unreadable_image_is_named(toy):
    import datasets
    import pyarrow.parquet as pq

    data, _ = toy
    file = next((data / "toy").glob("train*"))
    table = pq.read_table(file)
    rows = table.to_pylist()
    rows[3]["img"]["bytes"] = rows[3]["img"]["bytes"][:40]
    pq.write_table(table.from_pylist(rows, schema=table.schema), file)
    with pytest.raises(BadData, match=r"toy: train row 3 \(train-3.png\) is no readable image"):
        images("toy", "train")
    assert datasets


def test_an_image_of_another_size_is_named(toy):
    data, _ = toy
    pixels, labels = toy_images(side=9)
    write_toy(data / "toy", pixels, labels)
    with pytest.raises(BadData, match=r"toy: train row 0 .* is 9×9 pixels, not 8×8"):
        images("toy", "train")


def test_without_data_the_remedy_is_told(toy, monkeypatch):
    monkeypatch.delenv("LOTTERYBENCH_DATA")
    monkeypatch.setenv("LOTTERYBENCH_CACHE", "/nonexistent")
    with pytest.raises(BadData, match="toy lies on no Hub; set LOTTERYBENCH_DATA"):
        images("toy", "train")


def test_an_unreachable_hub_is_one_line(monkeypatch):
    monkeypatch.delenv("LOTTERYBENCH_DATA", raising=False)
    with pytest.raises(
        BadData, match=r"cifar10 train cannot be read from uoft-cs/cifar10@0b27.*; set"
    ) as info:
        source["hub"].read(KNOWN["cifar10"], "train")
    assert "\n" not in str(info.value)


def test_the_cache_is_used_and_distrusted(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(tmp_path / "cache"))
    images("toy", "train")
    file = next((tmp_path / "cache").glob("toy-*/train-*.npy"))
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    again = images("toy", "train")
    assert [pixel_key(i) for i in again.pixels] == sorted(pixel_key(i) for i in again.pixels)
    assert file.read_bytes() == good


def test_pinning_twice_gives_the_same_bytes(toy, tmp_path):
    data, subsets = toy
    rewrite(data, shuffled, encode="webp")
    base, keyring = pin(origin_of(str(data / "toy")))
    manifests.save_base(base, keyring, tmp_path / "again")
    for name in ("base.json", "keys.parquet"):
        assert (tmp_path / "again/toy" / name).read_bytes() == (subsets / "toy" / name).read_bytes()


def test_a_pinned_base_is_not_replaced(toy):
    data, subsets = toy
    rewrite(data, lambda pixels, labels: (255 - pixels, labels))
    before = (subsets / "toy/base.json").read_bytes()
    with pytest.raises(BadRecord, match="pins another toy; give another name with --id"):
        manifests.save_base(*pin(origin_of(str(data / "toy"))), subsets)
    assert (subsets / "toy/base.json").read_bytes() == before


def test_a_keyring_with_other_labels_gives_no_images(toy, tmp_path, monkeypatch):
    """Neither a cold nor a warm cache hands out images with forged labels."""
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(tmp_path / "cache"))
    images("toy", "train")
    _, subsets = toy
    keyring = manifests.load_keyring("toy")
    forged = keyrings.Keyring(keyring.keys, {s: keyring.labels[s][::-1].copy() for s in SPLITS})
    keyrings.save(forged, subsets / "toy/keys.parquet")
    record = subsets / "toy/base.json"
    record.write_text(record.read_text().replace(keyring.digest(), forged.digest()))
    with pytest.raises(BadData, match="has another label"):
        images("toy", "train")


def test_digits_is_pinned_as_released(tmp_path):
    base, keyring = pin(KNOWN["digits"])
    there, _ = manifests.find_base("digits")
    assert base == there
    assert keyring.digest() == manifests.load_keyring("digits").digest()
    assert np.ptp(np.bincount(keyring.labels["test"])) <= 3


def test_digits_splits_are_disjoint():
    keyring = manifests.load_keyring("digits")
    assert not set(keyring.keys["train"].tolist()) & set(keyring.keys["test"].tolist())
    assert len(keyring.keys["train"]) + len(keyring.keys["test"]) == 1797


def test_encoded_bases_are_keyed_by_file(tmp_path, monkeypatch):
    from lotterybench.sources import encoded

    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    write_toy(tmp_path / "photos", *toy_images(), encode="jpeg")
    base, keyring = pin(origin_of(str(tmp_path / "photos"), by_file=True))
    manifests.save_base(base, keyring, tmp_path / "subsets")
    files = encoded("photos", "train")
    assert [f[:2] for f in files] == [b"\xff\xd8"] * 40
    keys = [keyrings.file_key(file) for file in files]
    assert keys == sorted(keys)


def test_a_split_that_a_folder_calls_otherwise_is_found(tmp_path, monkeypatch):
    """`valid-*.parquet` is `valid` on the Hub's card, `validation` in a folder without one."""
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    write_toy(tmp_path / "toy", *toy_images())
    test = tmp_path / "toy/test-00000-of-00001.parquet"
    test.rename(test.with_name("valid-00000-of-00001.parquet"))
    base, _ = pin(origin_of(str(tmp_path / "toy"), test="valid"))
    assert base.splits["test"].rows == 20


@pytest.mark.parametrize(
    ("where", "field", "value"),
    [
        ("cifar100", "hub_id", "uoft-cs/cifar100"),
        ("owner/Some_Set@abc", "id", "some-set"),
        ("owner/Some_Set@abc", "revision", "abc"),
        ("owner/set", "revision", None),
    ],
)
def test_naming(where, field, value):
    assert getattr(origin_of(where), field) == value


def test_naming_refuses(tmp_path, monkeypatch):
    with pytest.raises(UnknownName, match="did you mean 'cifar100'"):
        origin_of("cifar1000")
    monkeypatch.delenv("LOTTERYBENCH_DATA", raising=False)
    with pytest.raises(BadRequest, match="set it to"):
        origin_of(str(tmp_path))
    with pytest.raises(BadRequest, match="digits is not read from columns"):
        origin_of("digits", by_file=True)
    with pytest.raises(BadRequest, match="give one with --id"):
        origin_of("digits", name="Bad Name")
    with pytest.raises(BadRequest, match="give one with --id"):
        origin_of("owner/set", name="Not a slug!")


def test_ambiguous_columns_are_told(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    pixels, labels = toy_images()
    write_toy(tmp_path / "two", pixels, labels)
    for file in (tmp_path / "two").iterdir():
        table = datasets.Dataset.from_parquet(str(file))
        table.add_column("coarse", table["label"]).cast_column(
            "coarse", datasets.ClassLabel(names=["a", "b", "c"])
        ).to_parquet(file)
    with pytest.raises(
        BadData, match=r"two has the ClassLabel columns \['label', 'coarse'\]; name one"
    ):
        pin(origin_of(str(tmp_path / "two")))
    assert pin(origin_of(str(tmp_path / "two"), label="coarse"))[0].class_names == ["a", "b", "c"]


def test_a_damaged_keyring_is_refused(toy):
    _, subsets = toy
    file = subsets / "toy" / "keys.parquet"
    keyring = keyrings.load(file)
    swapped = keyring.keys["train"].copy()
    swapped[0], swapped[1] = swapped[1], swapped[0]
    keyrings.save(keyrings.Keyring({**keyring.keys, "train": swapped}, keyring.labels), file)
    with pytest.raises(BadRecord, match="not in canonical order"):
        manifests.load_keyring("toy")
    file.write_bytes(b"PAR1")
    with pytest.raises(BadRecord, match="cannot be read as a keyring"):
        manifests.load_keyring("toy")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_real_cifar_resolves_whatever_its_order(name, real_data):
    """The copy at hand is shuffled and in WebP; the Hub's is in another order and in PNG."""
    base, _ = manifests.find_base(name)
    assert base.splits["train"].rows == 50_000
    for split in SPLITS:
        found = images(name, split)
        assert found.pixels.shape == (base.splits[split].rows, 32, 32, 3)
        some = np.random.default_rng(0).integers(0, len(found.labels), 200)
        expected = manifests.load_keyring(name).keys[split][some]
        np.testing.assert_array_equal(short([pixel_key(found.pixels[i]) for i in some]), expected)


@pytest.mark.slow
def test_real_jpegs_are_pinned_by_file(real_data):
    base, keyring = pin(
        origin_of(
            str(real_data / "tiny-imagenet"), name="tiny-imagenet-part", test="valid", by_file=True
        )
    )
    assert base.splits["train"].rows == 16_000
    assert base.splits["test"].rows == 4_000
    assert len(base.class_names) == 200
    assert base.size == (64, 64)
    assert keyring.digest() == base.keyring_digest
    with pytest.raises(BadData, match=r"has 100000 and 10000 images .* 16000 and 4000; a part"):
        pin(KNOWN["tiny-imagenet"])
