"""Coverage of the intervals of calibration errors, measured with simulated classifiers.

Usage: python benchmarks/calibration.py [N_SIMULATIONS]
"""

import sys

import numpy as np

from maskkit.evaluation._calibration import estimate_debiased, estimate_error, expected_error, squared_errors

N_RESAMPLES = 200


def simulate(n_faces, shortfall, rng):
    """Return random confidences, and whether each prediction is correct.

    The accuracy is below the confidence by `shortfall` times the excess of the confidence over one half.
    """
    confidence = 0.5 + 0.5 * rng.beta(4, 1, n_faces)
    return confidence, rng.random(n_faces) < confidence - shortfall * (confidence - 0.5)


def main():
    """Print mean estimates and coverages."""
    n_simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rng = np.random.default_rng(0)
    # The mean of a beta(4, 1) variable is 4/5, so a shortfall of 0.2 is 0.2 * 0.5 * 4/5 = 0.08 on average.
    for true_error, shortfall in ((0.0, 0.0), (0.08, 0.2)):
        for n_faces in (400, 2000):
            values, covered = [], []
            for _ in range(n_simulations):
                confidence, is_correct = simulate(n_faces, shortfall, rng)
                error, squares = expected_error(confidence, is_correct), squared_errors(confidence, is_correct)
                drawn = [np.bincount(rng.integers(0, n_faces, n_faces), minlength=n_faces) for _ in range(N_RESAMPLES)]
                samples, once = np.array([error(weights) for weights in drawn]), np.ones(n_faces)
                squared_samples = np.array([squares(weights)[1] for weights in drawn])
                expected = estimate_error(error(once), samples, n_faces)
                debiased = estimate_debiased(*squares(once), squared_samples, n_faces)
                low, high = np.percentile(samples, [2.5, 97.5])
                values.append([expected.value, debiased.value])
                intervals = ((low, high), (expected.low, expected.high), (debiased.low, debiased.high))
                covered.append([low <= true_error <= high for low, high in intervals])
            (ece, rms), (percentile, basic, root) = np.mean(values, axis=0), np.mean(covered, axis=0)
            print(
                f"true error {true_error}, {n_faces} faces: ECE {ece:.4f}, debiased {rms:.4f}; coverage: ",
                end="",
            )
            print(f"percentile {percentile:.2f}, basic {basic:.2f}, debiased {root:.2f}")


if __name__ == "__main__":
    main()
