"""The model card that is saved with every model."""

from typing import Any

from maskkit._files.model_folder import ModelConfig

# Metrics that the Hub shows beside a model; the card has all.
_HUB_METRICS = ("accuracy", "f1")


def write_card(name: str, config: ModelConfig) -> str:
    """Return the model card of a model in Markdown: its description, training history, and evaluations.

    The header is that of the Hugging Face Hub, so that the model can be found there.
    """
    evaluation = "\n\n".join(config.training["evaluation_tables"].values())
    counts = "\n".join(
        f"| {label} | {count:,} |" for label, count in zip(config.classes, config.training["class_counts"], strict=True)
    )
    parameters = "\n".join(f"| `{key}` | `{value!r}` |" for key, value in config.params.items())
    section = f"\n## Evaluation\n\nValues have 95 % intervals.\n\n{evaluation}\n" if evaluation else ""
    source = f"The metrics above come from the training itself{' and from the data named' if evaluation else ''}"
    versions = ", ".join(f"{library} {number}" for library, number in config.training["versions"].items())
    return f"""---
{_make_header(name, config.training["evaluation"])}
---

# {name}

A face-mask classifier trained with maskkit. It takes crops of one face each and predicts the probability of
{", ".join(f"`{label}`" for label in config.classes)}.

| | |
|---|---|
| backbone | `{config.backbone["spec"]}` |
| input | {config.preprocess["image_size"]} px square, RGB |
| detector | `{config.detector["spec"]}` |
| trained from | {_list_bases(config)} |
| versions | {versions}, Python {config.training["python"]} |

## Training data

| class | images |
|---|---|
{counts}

## Training

{_history(config.training["history"])}

| parameter | value |
|---|---|
{parameters}
{section}
## Use and limits

{source} and do not apply to other cameras, other people or smaller
faces: evaluate the model on pictures like yours with `maskkit evaluate` before you rely on it. It predicts a class
for any crop, also one without a face. It is not intended to identify people, or to decide about people without
human review.
"""


def _make_header(name: str, evaluations: dict[str, dict[str, Any]]) -> str:
    """Return the metadata of the model in YAML, as the Hub reads them, with the figures of evaluations."""
    from huggingface_hub import EvalResult, ModelCardData

    task = "image-classification"
    results = [
        EvalResult(
            task_type=task,
            dataset_type="own",
            dataset_name=data,
            metric_type=metric,
            metric_value=metrics[metric]["value"],
        )
        for data, metrics in evaluations.items()
        for metric in _HUB_METRICS
        if metrics.get(metric, {}).get("value") is not None
    ]
    header = ModelCardData(
        library_name="maskkit",
        pipeline_tag=task,
        tags=["face-mask-detection"],
        model_name=name if results else None,
        eval_results=results or None,
    )
    return str(header.to_yaml()).strip()


def _list_bases(config: ModelConfig) -> str:
    """Return what training began with: the models that it went on from, the last one first, or other weights."""
    bases, base = [], config.training.get("base")
    while base:
        bases.append(f"`{base['name']}` ({base['sha256'][:12]})")
        base = base["base"]
    return ", which was trained from ".join(bases) or f"`weights={config.params.get('weights')!r}`"


def _history(history: list[dict[str, Any]]) -> str:
    if not history:
        return "No history: the head does not record one."
    # The last epoch has all columns; others may lack those of validation.
    columns = [
        key
        for key, value in history[-1].items()
        if not isinstance(value, list) and key not in ("epoch", "images_per_second")
    ]
    head = "| epoch | " + " | ".join(column.replace("_", " ") for column in columns) + " |"
    rows = [
        f"| {record['epoch']:.0f} | "
        + " | ".join(f"{record[column]:.4f}" if column in record else "" for column in columns)
        + " |"
        for record in history
    ]
    return "\n".join([head, "|---" * (len(columns) + 1) + "|", *rows])
