"""The folders of "A rate that comes down" and "Fine-tuning": few pictures of CIFAR-10.

    python benchmarks/few_pictures.py CIFAR10 OUTPUT --pictures 60

CIFAR10 holds train/CLASS/*.jpg and test/CLASS/*.jpg. Under OUTPUT come, as links to its files,

- known: all pictures of the classes named first, for the weights that fine-tuning starts from;
- few: of the other five classes the first training pictures, and all of the test pictures;
- choose: the same training pictures, and 150 others of each class as validation split. What is
  chosen is chosen there, so that the test pictures of `few` judge what no one chose by them.

`--rare 40` leaves so many of dog, horse and truck: the folders of "Uneven classes".
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

KNOWN = ("airplane", "bird", "cat", "frog", "ship")
FEW = ("automobile", "deer", "dog", "horse", "truck")
RARE = FEW[2:]
VALIDATION = slice(1000, 1150)
UNUSED = slice(1150, 1160)  # a folder with splits of its own needs a test split


def main() -> None:
    parser = argparse.ArgumentParser(description="Few pictures of CIFAR-10, as links.")
    parser.add_argument("cifar10", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--pictures", type=int, default=400, help="training pictures a class")
    parser.add_argument("--rare", type=int, help="of dog, horse and truck")
    options = parser.parse_args()
    rare = options.pictures if options.rare is None else options.rare
    if not 0 < rare <= options.pictures <= VALIDATION.start:
        parser.error(f"--rare and --pictures must be in 1 to {VALIDATION.start}")
    if options.output.exists() or not (options.cifar10 / "train" / FEW[0]).is_dir():
        parser.error(f"there must be {options.cifar10}/train/{FEW[0]}, and no {options.output} yet")
    train, test = options.cifar10 / "train", options.cifar10 / "test"
    for name in KNOWN:
        link(pictures(train / name), options.output / "known" / "train" / name)
        link(pictures(test / name), options.output / "known" / "test" / name)
    for name in FEW:
        files = pictures(train / name)
        first = files[: rare if name in RARE else options.pictures]
        few, choose = options.output / "few", options.output / "choose"
        link(first, few / "train" / name)
        link(pictures(test / name), few / "test" / name)
        link(first, choose / "train" / name)
        link(files[VALIDATION], choose / "val" / name)
        link(files[UNUSED], choose / "test" / name)


def pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jpg"))


def link(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.name).hardlink_to(file)


if __name__ == "__main__":
    main()
