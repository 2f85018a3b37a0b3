"""Average the weights of models that go on from one model, and calibrate the result.

python -m benchmarks.lite0.average DATA MODEL MODEL ... --out FOLDER

The mean weights of networks that were trained from the same start often make a network that is better than each of
them, at the cost of one (Wortsman et al. 2022, arXiv:2203.05482).
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from benchmarks.lite0.data import PHOTO_SETS, split_photos
from benchmarks.lite0.train import calibrate
from maskkit import MaskClassifier


def average(folders: list[Path]) -> MaskClassifier:
    """Return the first model with the mean weights of all of them."""
    model, *others = (MaskClassifier.load(folder) for folder in folders)
    _set_mean(model.embedder_.network_, [other.embedder_.network_ for other in others])
    _set_mean(model.head_.network_, [other.head_.network_ for other in others])
    return model


def _set_mean(network: nn.Module, others: list[nn.Module]) -> None:
    states = [other.state_dict() for other in others]
    with torch.no_grad():
        for name, values in network.state_dict().items():
            # Counts of batches are whole numbers, which all networks share.
            if values.is_floating_point():
                values.copy_(torch.stack([values, *(state[name] for state in states)]).double().mean(0))


def main() -> None:
    """Average, calibrate and save the model in half precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--out", required=True, help="folder to write the model to")
    args = parser.parse_args()
    model = average(args.models)
    calibrate(model, [photo for name in PHOTO_SETS for photo in split_photos(args.data / name)["choose"]])
    model.save(args.out, half=True)


if __name__ == "__main__":
    main()
