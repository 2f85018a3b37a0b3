"""Speed of maskkit compared with plain PyTorch, skorch and ONNX Runtime, as ratios measured in one run.

The command is ``python -m benchmarks.peers``; `benchmarks.peers.rows.measure` yields the results after each row.
"""
