"""Datasets that `lotterybench base ID` can pin by name: where they lie and how to read them."""

from lotterybench.records import Origin

_CIFAR = (
    "Alex Krizhevsky. Learning Multiple Layers of Features from Tiny Images. "
    "Technical report, University of Toronto, 2009."
)

KNOWN = {
    origin.id: origin
    for origin in (
        Origin(
            id="digits",
            title="Digits (scikit-learn)",
            source="digits",
            mode="L",
            size=(8, 8),
            mirror=False,
            licence="CC-BY-4.0",
            redistributable=True,
            citation="E. Alpaydin, C. Kaynak. Optical Recognition of Handwritten Digits. "
            "UCI Machine Learning Repository, 1998.",
        ),
        Origin(
            id="cifar10",
            title="CIFAR-10",
            source="hub",
            hub_id="uoft-cs/cifar10",
            revision="0b2714987fa478483af9968de7c934580d0bb9a2",
            image_column="img",
            label_column="label",
            size=(32, 32),
            citation=_CIFAR,
        ),
        Origin(
            id="cifar10-5k",
            title="CIFAR-10, 5,000 training images",
            source="part",
            part_of="cifar10/class-balanced-5000@1",
            size=(32, 32),
            citation=_CIFAR,
        ),
        Origin(
            id="cifar100",
            title="CIFAR-100",
            source="hub",
            hub_id="uoft-cs/cifar100",
            revision="aadb3af77e9048adbea6b47c21a81e47dd092ae5",
            image_column="img",
            label_column="fine_label",
            size=(32, 32),
            citation=_CIFAR,
        ),
        Origin(
            id="tiny-imagenet",
            title="Tiny-ImageNet",
            source="hub",
            hub_id="zh-plus/tiny-imagenet",
            image_column="image",
            label_column="label",
            split_names={"train": "train", "test": "valid"},
            key_kind="encoded",
            size=(64, 64),
            licence="ImageNet terms of access",
            citation="Ya Le, Xuan Yang. Tiny ImageNet Visual Recognition Challenge. "
            "CS 231N, Stanford University, 2015.",
        ),
        Origin(
            id="imagenet-1k",
            title="ImageNet-1k (ILSVRC 2012)",
            source="hub",
            hub_id="ILSVRC/imagenet-1k",
            image_column="image",
            label_column="label",
            split_names={"train": "train", "test": "validation"},
            key_kind="encoded",
            licence="ImageNet terms of access",
            sealed=True,
            citation="Olga Russakovsky et al. ImageNet Large Scale Visual Recognition Challenge. "
            "International Journal of Computer Vision 115, 2015.",
        ),
    )
}

# How many images the whole of each holds: a part of one is another dataset.
ROWS = {
    "digits": (1_201, 596),
    "cifar10": (50_000, 10_000),
    "cifar10-5k": (5_000, 10_000),
    "cifar100": (50_000, 10_000),
    "tiny-imagenet": (100_000, 10_000),
    "imagenet-1k": (1_281_167, 50_000),
}
